"""Tests of cbspec/protocol/."""
