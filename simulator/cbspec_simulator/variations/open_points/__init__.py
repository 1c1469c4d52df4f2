"""Relays that conform and decide a question that the specification leaves open; a fingerprint shows each of them."""
