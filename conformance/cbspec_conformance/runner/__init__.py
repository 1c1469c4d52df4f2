"""The pytest side of a run: options, plugin, outcomes, time limit and `cbspec verify`."""
