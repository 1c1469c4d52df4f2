"""State machines as data: what tells two apart, differences from the specification, files and pictures."""
