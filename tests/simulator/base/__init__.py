"""Tests of simulator/base/."""
