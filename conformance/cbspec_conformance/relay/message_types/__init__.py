"""Source: Message Types."""
