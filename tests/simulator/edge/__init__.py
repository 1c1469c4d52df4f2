"""Tests of simulator/edge/."""
