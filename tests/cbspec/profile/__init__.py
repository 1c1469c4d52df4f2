"""Tests of cbspec/profile/."""
