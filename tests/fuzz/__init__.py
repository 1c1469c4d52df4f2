"""Coverage-guided fuzzing of every layer without I/O: `make fuzz`."""
