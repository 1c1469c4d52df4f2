"""Tests of simulator/relay/."""
