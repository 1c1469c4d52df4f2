"""The exit codes of all commands."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """An exit code. WRONG_USE is pytest's own number, which it uses before a plugin of ours can choose another."""

    SUCCESS = 0
    NOT_CONFORMING = 1
    NOTHING_TO_JUDGE = 3
    WRONG_USE = 4
    KIT_ERROR = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.SUCCESS: "the command did its work, and the judged relay, file or replay passed",
    ExitCode.NOT_CONFORMING: "it did not pass: a requirement failed or is inconclusive, fingerprints differ",
    ExitCode.NOTHING_TO_JUDGE: "no relay answers, its certificate is not trusted, no case was selected or exercised",
    ExitCode.WRONG_USE: "an unknown option, command or id, an unusable file, profile or OpenSSL configuration",
    ExitCode.KIT_ERROR: "an error of the kit itself; please report it",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; a report shows the results so far",
    ExitCode.PIPE_CLOSED: "the reader of the output closed the pipe",
}
"""The meaning of each exit code; the table in README.md."""


def exit_code_table(meanings: Mapping[int, str] | Mapping[ExitCode, str] = MEANINGS) -> str:
    """Return a table for the end of a help text."""
    rows = (textwrap.fill(f"  {code:<4}{meaning}", 80, subsequent_indent=" " * 6) for code, meaning in meanings.items())
    return "\n".join(["exit codes:", *rows])
