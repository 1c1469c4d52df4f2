"""The rules of the client table: pure functions from what was observed to findings."""
