"""Tests of conformance/client/learning/."""
