"""Tests of simulator/settings/."""
