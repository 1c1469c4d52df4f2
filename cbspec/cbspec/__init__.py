"""The CloudBridge Relay protocol v2.0, without I/O."""
