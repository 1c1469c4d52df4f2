"""Coverage-guided fuzzing of the layers without I/O: `make fuzz`."""
