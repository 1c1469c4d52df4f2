"""Reports of a run: table, results file, fingerprint and baseline."""
