"""Tests of the faults: what each does on the wire, when it strikes, and how it is read."""
