"""Tests of `simulator.local`."""
