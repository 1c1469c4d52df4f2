"""Whether the suite's verdicts can be trusted: every named way to be wrong, or right, judged by the suite itself."""
