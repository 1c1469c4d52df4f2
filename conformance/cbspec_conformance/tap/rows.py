"""What the tap saw, as rows of a file in JSON Lines: the verdicts on both sides are a pure function of them.

No row holds a token: texts are redacted when they are written. The facts that need the whole text, such as the claims
of a token, are members of their own. Times are in seconds since the tap began.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from cbspec_conformance.record.decoding import Decoded
from cbspec_conformance.record.saved import TranscriptError
from cbspec_conformance.record.transcript import Direction, Message

VERSION: Final = 1


class Side(StrEnum):
    """One of the two that the tap stands between."""

    CLIENT = "client"
    RELAY = "relay"

    @property
    def other(self) -> Side:
        """The other side."""
        return Side.RELAY if self is Side.CLIENT else Side.CLIENT


class HowEnded(StrEnum):
    """How a side ended its half of a connection."""

    CLOSE_NOTIFY = "close_notify"
    FIN = "fin"
    RESET = "reset"
    ALERT = "a TLS alert"


class TapHeader(msgspec.Struct, frozen=True, tag="tap", tag_field="row"):
    """The first row.

    `epoch` is the beginning in seconds since 1970, and `patience` the seconds after which an answer is missing if the
    relay answers others.
    """

    version: int
    target: str
    listen: str
    epoch: float
    patience: float


class TapOpened(msgspec.Struct, frozen=True, tag="opened", tag_field="row"):
    """A client connected from an address."""

    at: float
    connection: int
    address: str


class TapUnreachable(msgspec.Struct, frozen=True, tag="unreachable", tag_field="row"):
    """No TCP connection to the relay could be made."""

    at: float
    connection: int
    reason: str


class TapSecured(msgspec.Struct, frozen=True, omit_defaults=True, tag="secured", tag_field="row"):
    """A TLS handshake with one side is complete. `offered` and the names are those of a client's ClientHello."""

    at: float
    connection: int
    side: Side
    version: str
    cipher: str
    server_name: str = ""
    alpn: str = ""
    offered: tuple[str, ...] = ()


class TapNotSecured(msgspec.Struct, frozen=True, omit_defaults=True, tag="not_secured", tag_field="row"):
    """A TLS handshake with one side failed.

    `alert` is the one that this side sent, `plain` are its first bytes if they are no TLS, and `untrusted` says that
    the relay's certificate was not accepted.
    """

    at: float
    connection: int
    side: Side
    reason: str
    alert: str = ""
    plain: str = ""
    untrusted: bool = False
    server_name: str = ""
    offered: tuple[str, ...] = ()


class TokenFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of an auth's token that judgements need.

    `number` is the same for equal tokens. `form` is "jwt", "empty" or "other". `tenant` is the claim if it is a string
    (None: it isn't); `algorithm` is the header's; `expiry` and `begin` are the claims exp and nbf if they are numbers.
    """

    number: int
    form: str
    tenant: str | None = None
    named: bool = False
    algorithm: str = ""
    expiry: float | None = None
    begin: float | None = None


class TextFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts about a whole text that its redacted form may not show.

    `twice` are members that an object has twice with different values; `token`: a token is in a message other than
    auth; `leaks`: an error's text holds a token; `no_message`: no reader may take anything in the text for a message;
    `repeated`: an object has a member twice; `large`: its length or nesting may exceed a relay's limits; `begun`: the
    client had sent the beginning of a message when it came.
    """

    twice: tuple[str, ...] = ()
    token: bool = False
    leaks: bool = False
    no_message: bool = False
    repeated: bool = False
    large: bool = False
    begun: bool = False
    auth: TokenFacts | None = None


class TapMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag="message", tag_field="row"):
    """One message of a side, redacted.

    `value` is its JSON value (None if it is no JSON), `requirement` and `fault` its first defect, as
    `cbspec_conformance.record.decoding` found it. The members of a message that is `cut` are missing but for its type.
    """

    at: float
    connection: int
    side: Side
    text: str
    value: Any = None
    requirement: str = ""
    fault: str = ""
    binary: bool = False
    cut: bool = False
    facts: TextFacts = TextFacts()

    def message(self) -> Message:
        """Return the message as the suite's records have it: what the client sends is sent."""
        direction = Direction.SENT if self.side is Side.CLIENT else Direction.RECEIVED
        decoded = Decoded(self.value, self.requirement, self.fault)
        text = self.text.encode("utf-8", "surrogatepass")
        return Message(self.at, self.connection, direction, text, decoded, self.binary, cut=self.cut)


class TapHead(msgspec.Struct, frozen=True, tag="head", tag_field="row"):
    """The head of an opening handshake of a WebSocket: the first line, and the headers that judgements need."""

    at: float
    connection: int
    side: Side
    line: str
    headers: dict[str, str]


class TapFrame(msgspec.Struct, frozen=True, omit_defaults=True, tag="frame", tag_field="row"):
    """A WebSocket frame without its payload, of which `digest` tells equal ones (of control frames only)."""

    at: float
    connection: int
    side: Side
    opcode: int
    final: bool
    reserved: int = 0
    mask: str = ""
    padded: bool = False
    digest: str = ""


class TapHalf(msgspec.Struct, frozen=True, tag="half", tag_field="row"):
    """The beginning of a message whose end never came, redacted."""

    at: float
    connection: int
    side: Side
    text: str


class TapEnded(msgspec.Struct, frozen=True, tag="ended", tag_field="row"):
    """A side ended its half of a connection; a side that sent close_notify may have another row for the end of TCP."""

    at: float
    connection: int
    side: Side
    how: HowEnded


class TapDone(msgspec.Struct, frozen=True, tag="done", tag_field="row"):
    """The last row: the tap was ended."""

    at: float


Row = (
    TapHeader
    | TapOpened
    | TapUnreachable
    | TapSecured
    | TapNotSecured
    | TapMessage
    | TapHead
    | TapFrame
    | TapHalf
    | TapEnded
    | TapDone
)


def line_of(row: Row) -> bytes:
    """Return a row as a line."""
    return json.dumps(msgspec.to_builtins(row), ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def is_tap_file(file: Path) -> bool:
    """Whether a file begins as one of the tap's. Raises OSError."""
    with file.open("rb") as lines:
        head = lines.readline(4096)
    try:
        value = json.loads(head)
    except ValueError:
        return False
    return isinstance(value, Mapping) and value.get("row") == "tap"


def read_rows(file: Path) -> tuple[TapHeader, list[Row]]:
    """Return the header and the other rows of a file; an incomplete last line is left out.

    Raises TranscriptError, or OSError.
    """
    rows = list(_rows(file))
    if not rows or not isinstance(rows[0], TapHeader):
        raise TranscriptError(f"{file}: not a file of `cbspec tap --transcript`")
    if rows[0].version != VERSION:
        raise TranscriptError(f"{file}: written by another version of cbspec: record the traffic again")
    return rows[0], rows[1:]


def _rows(file: Path) -> Iterator[Row]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row: Row = msgspec.convert(json.loads(line), Row)
            except (ValueError, RecursionError) as error:
                raise TranscriptError(f"{file}: line {number} is not a row of the tap: {error}") from None
            yield row
