"""Pure functions from records to findings and verdicts."""
