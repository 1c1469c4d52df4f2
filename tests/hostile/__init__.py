"""Hostile peers: how their connections end, and what other clients notice."""
