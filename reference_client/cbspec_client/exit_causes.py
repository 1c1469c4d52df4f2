"""The exit codes of `cbspec connect`, by cause; they extend those of all commands (`cbspec.exit_codes`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from cbspec.exit_codes import ExitCode
from cbspec.protocol.codes import FACTS
from cbspec_client.errors import (
    BY_CODE,
    AnswerTimeout,
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    GaveUp,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
    TokenUnavailable,
    UnknownRelayError,
)


class ExitCause(NamedTuple):
    """An exit code and its meaning."""

    code: int
    meaning: str


EXIT_CAUSES: Final[Mapping[type[ClientError], ExitCause]] = MappingProxyType(
    {
        ConnectFailed: ExitCause(ExitCode.NOTHING_TO_JUDGE, "no connection: refused, unknown host, time-out"),
        Misuse: ExitCause(ExitCode.WRONG_USE, "an unknown or impossible option, or an unusable file"),
        TlsRefused: ExitCause(10, "no TLS 1.3 session"),
        CertificateNotTrusted: ExitCause(11, "the relay's certificate is not trusted"),
        ConnectionLost: ExitCause(12, "the connection was lost"),
        AnswerTimeout: ExitCause(13, "an answer, or that to a heartbeat, did not arrive in time"),
        RelayMisbehaved: ExitCause(14, "the relay broke the protocol"),
        TokenUnavailable: ExitCause(15, "the token's file can't be read any more"),
        UnknownRelayError: ExitCause(20, "refused with a code that isn't one of the eleven"),
        **{
            BY_CODE[code]: ExitCause(number, f"refused with `{code}`: {facts.meaning}")
            for number, (code, facts) in enumerate(FACTS.items(), 21)
        },
    }
)
"""The exit code for each class of errors; GaveUp has that of its cause."""

OTHER_EXITS: Final = (
    ExitCause(ExitCode.SUCCESS, "the session succeeded, or was up until SIGTERM or Ctrl-C ended it (`--stay`)"),
    ExitCause(ExitCode.KIT_ERROR, "an error of the client itself; please report it"),
    ExitCause(ExitCode.INTERRUPTED, "interrupted by Ctrl-C or SIGTERM before the session was up, or during a retry"),
    ExitCause(ExitCode.PIPE_CLOSED, "the reader of the output closed the pipe"),
)
"""The exit codes that no error causes."""


def exit_code(error: ClientError) -> int:
    """Return the exit code for an error: that of its most specific class in the table."""
    cause = error.cause if isinstance(error, GaveUp) else error
    found = next((EXIT_CAUSES[kind] for kind in type(cause).__mro__ if kind in EXIT_CAUSES), None)
    return ExitCode.KIT_ERROR if found is None else found.code
