"""Tests of conformance/failures/."""
