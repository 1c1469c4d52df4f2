"""Tests of simulator/variations/."""
