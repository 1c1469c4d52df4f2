"""The errors of a command."""

from __future__ import annotations

from typing import ClassVar

from cbspec.exit_codes import ExitCode


class InputError(Exception):
    """A file, an id or the development identity can't be used; the text has a line for each mistake.

    Its subclasses are defined next to what they concern: the command line knows only this class, so that a command
    imports no more than it needs.
    """


class CommandError(Exception):
    """A command can't be carried out; the text has a line for each cause, with the remedy."""

    code: ClassVar[ExitCode] = ExitCode.WRONG_USE


class NothingToJudge(CommandError):
    """There is no relay to judge."""

    code: ClassVar[ExitCode] = ExitCode.NOTHING_TO_JUDGE
