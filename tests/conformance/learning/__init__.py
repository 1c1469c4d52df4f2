"""Tests of conformance/replay/."""
