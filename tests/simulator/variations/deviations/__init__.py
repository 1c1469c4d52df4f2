"""Each deviation is really there, and absent from the clean relay."""
