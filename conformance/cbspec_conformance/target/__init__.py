"""The relay under test as a case sees it: preconditions, controls, limits, pace and liveness."""
