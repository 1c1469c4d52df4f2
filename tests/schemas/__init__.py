"""Tests of the schemas and their examples."""
