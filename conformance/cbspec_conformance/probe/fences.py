"""Fences: requests with a known answer, sent after another request to tell "ignored" from "late" without waiting."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.record.transcript import Message

_numbers = itertools.count(1)


class Fence(NamedTuple):
    """A fence's request and the type of its answer."""

    request: dict[str, str]
    answer: str


class FencePolicy:
    """Decides which fence to send on one connection, and after which answers.

    Arguments: `kind` is the fence after auth: "heartbeat", "unknown" (a message of unknown type), or "" for none.
    `awaited_until` is the time until which a fence's answer was awaited, or None once other messages were read; `owed`
    is the type of an overdue answer, which may still come.
    """

    def __init__(self, kind: str, tempo: Tempo) -> None:
        self.kind = kind
        self._tempo = tempo
        self.awaited_until: float | None = None
        self.owed = ""

    def next(self, *, authenticated: bool) -> Fence | None:
        """Return the next fence, or None if no fence can be sent."""
        if authenticated and self.kind == "heartbeat":
            return Fence({"type": "heartbeat"}, "heartbeat_response")
        return Fence({"type": f"cbspec_fence_{next(_numbers)}"}, "error") if self.kind else None

    def wanted_after(self, request: Message, answer: Message) -> bool:
        """Whether to send a fence after an answered request of an authenticated connection."""
        return request.type != "heartbeat" and self._tempo.wants_fence(_kind(request, answer))

    def closed_after(self, request: Message, answer: Message) -> None:
        """Record that the relay closed the connection after such an answer."""
        self._tempo.closed_after(_kind(request, answer))

    def settle(self, inbox: list[Message]) -> bool:
        """Remove an overdue answer to a fence from the front of the inbox; return whether it was there."""
        there = bool(self.owed and inbox and inbox[0].type == self.owed)
        if there:
            del inbox[0]
            self.owed = ""
        return there


def _kind(request: Message, answer: Message) -> str:
    return f"{request.type} {answer.type} {answer.member('code')}"
