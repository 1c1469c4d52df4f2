"""Records of a run: transcript, decoded messages, exchanges and their text form."""
