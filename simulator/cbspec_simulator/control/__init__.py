"""The controls of a running relay, as a class and over HTTP."""
