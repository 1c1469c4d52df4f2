"""Tests of conformance/oracles/."""
