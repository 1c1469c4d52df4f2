"""Whether the suite notices what breaks the relay's source: mutation testing, with the suite as the judge."""
