"""Faults on demand: kinds, conditions, and the engine, whose random decisions a seed repeats."""
