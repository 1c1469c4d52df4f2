"""The asyncio edge: listeners, sockets, TLS and the connections on them."""
