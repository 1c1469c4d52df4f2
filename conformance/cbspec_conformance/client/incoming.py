"""The messages in the bytes of one direction: a JSON stream over TCP, or RFC 6455 frames after a head of HTTP.

The decoder is independent of the simulator's, so that one bug can't hide on both sides. The stream has no framing of
its own: objects follow each other with any white space between them (verdicts.md, "framing style").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from cbspec_conformance.client.frames import ClientFrames
from cbspec_conformance.record.decoding import Decoded, decode

CLIENT_TYPES: Final = ("hello", "auth", "tunnel_info", "heartbeat")
_HTTP: Final = re.compile(rb"[A-Z]{3,10} /|HTTP/1")
_MAY_BECOME_HTTP: Final = re.compile(rb"[A-Z]{1,10} ?|HTTP/")
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_SPECIAL: Final = re.compile(rb'["{}\[\]]')
_STRING_END: Final = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)


@dataclass(slots=True)
class ClientMessage:
    """One message: the time of its last byte, its text, its object ({} if it is none), and its first defect.

    `twice` are members that it has twice with different values, and `holds_token` says that it holds a token, for a
    text that can't show it because it is redacted.
    """

    at: float
    text: bytes
    body: dict[str, Any]
    requirement: str = ""
    fault: str = ""
    binary: bool = False
    twice: tuple[str, ...] = ()
    holds_token: bool = False

    @property
    def type(self) -> str:
        """The member `type`, if it is a string."""
        named = self.body.get("type")
        return named if isinstance(named, str) else ""


@dataclass(slots=True)
class Incoming:
    """The bytes of one connection, from `receive`; `separators` are the kinds of white space between objects."""

    messages: list[ClientMessage] = field(default_factory=list)
    separators: set[str] = field(default_factory=set)
    frames: ClientFrames | None = None
    _rest: bytes = b""
    _began: bool = False

    @property
    def rest(self) -> bytes:
        """The beginning of a message that isn't complete."""
        return self._rest

    def receive(self, data: bytes, at: float) -> None:
        """Accept bytes that arrived at a time."""
        self._rest += data
        if not self._began:
            if _MAY_BECOME_HTTP.fullmatch(self._rest):
                return
            self._began = True
            if _HTTP.match(self._rest):
                self.frames = ClientFrames()
        if self.frames is not None:
            for text, binary in self.frames.receive(self._rest, at):
                self._add(text, at, binary=binary)
            self._rest = b""
            return
        while self._take(at):
            pass

    def _take(self, at: float) -> bool:
        """Take one object, or one line that is none, from the stream; return whether there was one."""
        space = _SPACE.match(self._rest)
        begin = space.end() if space else 0
        rest = self._rest[begin:]
        if not rest:
            return False
        end = _object_end(rest) if rest.startswith(b"{") else rest.find(b"\n") + 1 or -1
        if end < 0:
            return False
        self._note_separator(self._rest[:begin])
        self._add(rest[:end], at)
        self._rest = rest[end:]
        return True

    def _note_separator(self, space: bytes) -> None:
        if self.messages:
            blank = "blank lines" if space.count(b"\n") > 1 else ""
            self.separators.add(blank or {b"\n": "LF", b"\r\n": "CR LF", b"": "none"}.get(space, "other white space"))

    def _add(self, text: bytes, at: float, *, binary: bool = False) -> None:
        decoded = decode(text)
        body = decoded.value if isinstance(decoded.value, dict) else {}
        requirement, fault = _defect(decoded)
        self.messages.append(ClientMessage(at, text, body, requirement, fault, binary))
        if b"\n" in text.strip():
            self.separators.add("objects over several lines")


def _defect(decoded: Decoded) -> tuple[str, str]:
    if not decoded.fault:
        return "", ""
    return ("CC-MSG-002" if decoded.value is not None else "CC-MSG-001"), decoded.fault


def _object_end(data: bytes) -> int:
    """Return the end of the object at the beginning of `data`, or -1 if it is incomplete.

    A text that begins with a brace and is no JSON ends at its line feed at the latest, if it has one.
    """
    depth, place = 0, 0
    while (found := _SPECIAL.search(data, place)) is not None:
        place = found.end()
        match found[0]:
            case b'"':
                string = _STRING_END.match(data, place)
                if string is None:
                    return -1
                place = string.end()
            case b"{" | b"[":
                depth += 1
            case _:
                depth -= 1
                if depth == 0:
                    return place
    return -1


def duplicates(text: bytes) -> list[str]:
    """Return the names of members that an object in a text has twice with different values."""
    found: list[str] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in members:
            if name in result and result[name] != value:
                found.append(name)
            result[name] = value
        return result

    try:
        json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return []
    return found
