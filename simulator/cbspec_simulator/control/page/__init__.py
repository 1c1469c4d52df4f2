"""The page on the control port: the relay to look at, and its switches. It has no build step, and asks nobody else."""
