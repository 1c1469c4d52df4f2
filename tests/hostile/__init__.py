"""Peers that mean ill: what they send, and what becomes of them and of everybody else."""
