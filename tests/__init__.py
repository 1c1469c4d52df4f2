"""Tests of the kit, a mirror of its source."""
