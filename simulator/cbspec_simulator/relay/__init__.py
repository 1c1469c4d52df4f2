"""The relay without I/O: behaviour, steps, sessions and the state that sessions share."""
