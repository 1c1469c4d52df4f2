"""Tests of the benchmarks: that they measure and judge, not what they find."""
