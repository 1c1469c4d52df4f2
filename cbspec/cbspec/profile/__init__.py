"""The target profile: data, reading, checking and writing; the development identity; a target's tokens."""
