"""JSON Schemas of the protocol's messages."""
