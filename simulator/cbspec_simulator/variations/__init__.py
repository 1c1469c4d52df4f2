"""Relays that differ from the clean one: deviations, variants and open points."""
