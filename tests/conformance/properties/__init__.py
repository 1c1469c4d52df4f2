"""Tests of conformance/properties/."""
