"""The conformance suite: judges a relay through its socket and says by which requirement it fails."""
