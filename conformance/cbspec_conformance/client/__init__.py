"""The judge for clients: situations with the simulator as the relay, and verdicts on what a client did in them."""
