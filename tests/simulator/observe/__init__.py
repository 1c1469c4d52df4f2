"""Tests of simulator/observe/."""
