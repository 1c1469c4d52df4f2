"""Tests of `cbspec_simulator.testing`."""
