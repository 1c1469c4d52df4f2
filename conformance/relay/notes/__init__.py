"""Source: Notes."""
