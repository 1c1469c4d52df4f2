"""Tests of what the cases about error codes share."""
