"""The servers that the simulator is held against; each prints its port as a line of JSON once it listens."""
