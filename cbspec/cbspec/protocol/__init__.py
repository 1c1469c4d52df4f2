"""The protocol without I/O: messages, JSON, framing, WebSocket, state table, connection, TLS layer."""
