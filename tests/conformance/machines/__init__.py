"""Tests of conformance/machines/."""
