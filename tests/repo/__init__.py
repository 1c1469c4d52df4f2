"""Rules about the repository, and the documents that are generated from it."""
