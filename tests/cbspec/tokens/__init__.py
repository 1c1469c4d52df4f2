"""Tests of cbspec/tokens/."""
