"""Tests of the page of a run and of the matrix."""
