"""Each variant, seen on the wire."""
