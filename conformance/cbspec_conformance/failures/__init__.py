"""Failure files: the exchange that showed a breach, as steps that can be replayed."""
