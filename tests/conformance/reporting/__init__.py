"""Tests of conformance/reporting/."""
