"""Endurance: a crowd of connections during a run of the suite, and a soak; a short form of each is a test."""
