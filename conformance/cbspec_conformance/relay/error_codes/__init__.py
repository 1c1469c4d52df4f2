"""Source: Error Codes. One file per code that has a cause of its own."""
