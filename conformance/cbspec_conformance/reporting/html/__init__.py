"""Reports as HTML: the page of a run and the matrix over implementations, each one self-contained file."""
