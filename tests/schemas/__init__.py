"""Tests of the schemas, of their examples and of the index over both."""
