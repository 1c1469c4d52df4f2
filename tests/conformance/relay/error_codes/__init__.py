"""Tests of the arrangements for the cases about error codes."""
