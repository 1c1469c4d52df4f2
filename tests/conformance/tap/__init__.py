"""The tap: its rows, its verdicts, and its edge."""
