"""Benchmarks: what the kit costs, each figure a ratio to a peer measured beside it; `make bench`."""
