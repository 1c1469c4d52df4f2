"""Faults on demand: what they change, when they strike, and the random decisions, which a seed repeats."""
