"""Records of a relay's work: transcript, log and metrics."""
