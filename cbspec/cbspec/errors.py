"""The error of a command."""

from __future__ import annotations


class CommandError(Exception):
    """A command can't be carried out; the text has a line for each cause, with the remedy."""
