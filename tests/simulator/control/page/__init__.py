"""Tests of the control page."""
