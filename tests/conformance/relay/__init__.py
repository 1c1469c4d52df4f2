"""Tests of what cases share."""
