"""Placeholder for the package's docstring."""
