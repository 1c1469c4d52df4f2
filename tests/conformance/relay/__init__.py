"""Tests of the arrangements that cases share."""
