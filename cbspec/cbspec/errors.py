"""What a command can't do, in a line."""

from __future__ import annotations


class CommandError(Exception):
    """A command can't be carried out; the text, a line for each cause, names the thing and the way out."""
