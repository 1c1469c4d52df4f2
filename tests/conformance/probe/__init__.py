"""Tests of conformance/probe/."""
