"""Tests of cbspec/catalogue/."""
