"""Hypothesis strategies and the means to run properties over a network."""
