"""Faults on demand: what goes wrong, when it strikes, and the decisions, which a seed repeats."""
