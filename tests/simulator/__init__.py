"""Tests of the simulator, in memory or over loopback."""
