"""Tests of the faults: effects on the wire, conditions, and errors."""
