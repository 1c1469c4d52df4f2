"""Relays that each break one requirement."""
