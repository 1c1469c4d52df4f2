"""Tests of simulator/app/."""
