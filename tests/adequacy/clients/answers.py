"""Deviations: legal spellings and segmentations of answers that a client can't read (CC-TOL)."""

from __future__ import annotations

import json
import re

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import MAX_MESSAGE, RawMessage, StreamFramer
from cbspec.protocol.messages import Message, Violation
from cbspec.protocol.strictjson import MAX_DEPTH
from cbspec_client.errors import AnswerTimeout
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation

_MEMBERS = {"type", "version", "features", "status", "client_id", "tenant_id", "tunnel_id", "code", "message"}


def _unreadable(why: str) -> Violation:
    return Violation("CB-MSG-001", ErrorCode.UNKNOWN_MESSAGE_TYPE, f"unreadable: {why}")


class _Reads(StreamFramer):
    """Knows in how many reads each message came."""

    __slots__ = ("reads",)

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        super().__init__(max_message=max_message, max_depth=max_depth)
        self.reads = 0

    def feed(self, data: bytes) -> None:
        self.reads += 1
        super().feed(data)

    def next_message(self) -> RawMessage | None:
        found = super().next_message()
        if found is None:
            return RawMessage(b"half a message", "half a message") if self.spoilt() else None
        self.reads = 0
        return found

    def spoilt(self) -> bool:
        return False


class _AtMostTen(_Reads):
    __slots__ = ()

    def spoilt(self) -> bool:
        return self.reads > 10


class _One(_Reads):
    __slots__ = ()

    def spoilt(self) -> bool:
        return bool(self.reads and self.pending.strip())


@deviation(
    "CC-TOL-001", "It gives up if an answer hasn't arrived after ten reads.", "answers-dribbled", websocket=False
)
class _TenReadsAtMost(BaseClient):
    stream_framer = _AtMostTen


@deviation("CC-TOL-002", "It takes each read for one message.", "answers-split", also=("CC-TOL-001",), websocket=False)
class _OneReadOneMessage(BaseClient):
    stream_framer = _One


class _Decoding(StreamFramer):
    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(data.decode(errors="replace").encode())


@deviation(
    "CC-TOL-002",
    "It decodes each read by itself, and spoils the characters that are split.",
    "answers-split-in-characters",
    websocket=False,
)
class _EachReadDecoded(BaseClient):
    stream_framer = _Decoding

    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        return _unreadable("a replacement character") if "\ufffd".encode() in text else super().understood(text, found)


class _FirstOnly(StreamFramer):
    __slots__ = ("_taken",)

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        super().__init__(max_message=max_message, max_depth=max_depth)
        self._taken = False

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._taken = False

    def next_message(self) -> RawMessage | None:
        found = None if self._taken else super().next_message()
        if found is not None:
            self._taken = True
            self.discard()
        return found


@deviation(
    "CC-TOL-003", "It sends its tunnel_infos at once, and reads only the first of answers that arrive together.",
    "answers-merged", also=("CC-MSG-003", "CC-TOL-001"), websocket=False,
)  # fmt: skip
class _SecondAnswerDropped(BaseClient):
    tunnels = 2
    stream_framer = _FirstOnly

    def open_tunnels(self) -> None:
        frames: list[bytes] = []
        self.session.raw = frames
        for number in range(self.tunnels):
            self.session.post(self.spelled(self.tunnel(number)))
        self.flush()
        self.wait(lambda: len(frames) == self.tunnels, self.limit, lambda: AnswerTimeout("no answer to tunnel_info"))
        self.session.raw = None


@deviation("CC-TOL-004", "It refuses answers with members that it doesn't know.", "answers-with-more-members")
class _UnknownMembersRefused(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        strange = set(json.loads(text)) - _MEMBERS
        return _unreadable(f"the member {min(strange)}") if strange else super().understood(text, found)


@deviation("CC-TOL-004", "It looks for the word error anywhere in an answer.", "answers-with-more-members")
class _ErrorAnywhere(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        return _unreadable("an error") if b'"error"' in text else super().understood(text, found)


@deviation("CC-TOL-005", "It expects the type as the first member.", "answers-order")
class _TypeFirst(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        first = re.match(rb'\s*\{\s*"(\w+)"', text)
        wrong = first is not None and first[1] != b"type" and b"\\u" not in first[1]
        return _unreadable("no type") if wrong else super().understood(text, found)


@deviation("CC-TOL-006", "It doesn't decode escapes.", "answers-escapes")
class _EscapesNotDecoded(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        return _unreadable("a backslash") if rb"\u" in text else super().understood(text, found)


@deviation("CC-TOL-006", "It searches answers for members without white space.", "answers-white-space")
class _NoWhiteSpace(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        spaced = re.search(rb'"type"(\s\s*:|:\s\s+|\s*:\s*[\t\n\r])', text) or re.match(rb"\{\s", text)
        return _unreadable("white space") if spaced else super().understood(text, found)


@deviation("CC-TOL-007", "It reads answers as ASCII.", "answers-multi-byte")
class _AsciiOnly(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        return super().understood(text, found) if text.isascii() else _unreadable("a byte over 127")
