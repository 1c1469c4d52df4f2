"""Benchmarks: the simulator measured side by side with its peers; `make bench`."""
