"""Tests of conformance/learning/."""
