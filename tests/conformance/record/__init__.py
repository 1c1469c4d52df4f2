"""Tests of conformance/record/."""
