"""Tests of conformance/target/."""
