"""Hostile peers: the ends of their connections, and the effect on other clients."""
