"""Relays that conform and use a freedom of the specification."""
