"""Each open point, seen on the wire."""
