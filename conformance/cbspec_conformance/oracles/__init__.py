"""Independent rules for JSON, tokens, requests, metrics and limits."""
