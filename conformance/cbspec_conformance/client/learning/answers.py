"""The abstract inputs of a client under learning: each is the relay's answer to the client's next request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.client.situations import STEPS, UNKNOWN_CODE

OVER: Final = "nothing more"
"""The output after the end of the client, or if it waits without a connection."""

WAITS: Final = "waits"
"""The output of a client that sends nothing within the pause, and keeps its connection."""

GONE: Final = ("closes", "waits without a connection")
"""The outputs of a client that sends nothing within the pause, after it or the relay has closed the connection."""

ENDS: Final = "ends"
"""The beginning of the output of a client whose process ends."""

ANEW: Final = " on a new connection"
"""The end of the output of a client that sends its next message on another connection."""


@dataclass(frozen=True, slots=True)
class AnswerLetter:
    """One abstract input.

    `fault` is the fault of the simulator that makes the answer (None: none). `steps` are the requests to which it
    applies: any other is answered as usual. `code` is the code of an error. `drop` is how the connection of a client
    that waits ends. `requirement` is the one that a client breaks that takes the answer for a success: one for all
    requests, or one for each.
    """

    name: str
    fault: Mapping[str, Any] | None = None
    steps: tuple[str, ...] = tuple(STEPS)
    code: str = ""
    drop: str = ""
    requirement: str | Mapping[str, str] = ""

    def faults(self, step: str) -> tuple[Mapping[str, Any], ...]:
        """Return the faults for the answer to a request."""
        return () if self.fault is None or step not in self.steps else (self.fault,)

    def breach(self, step: str) -> str:
        """Return the requirement that a client breaks that goes on after this answer to a request, or ""."""
        return self.requirement if isinstance(self.requirement, str) else self.requirement.get(step, "")


OK: Final = AnswerLetter("ok")
"""The answer of a conforming relay."""

_REFUSED: Final = {"hello": "CC-REF-001", "auth": "CC-REF-002"}  # a client may stay up without its tunnel
_UNKNOWN: Final = dict.fromkeys(_REFUSED, "CC-REF-008")
_SILENT: Final = {"hello": "CC-SIL-002", "auth": "CC-SIL-003", "tunnel_info": "CC-SIL-004"}
_REQUEST: Final = {"direction": "request"}
_CODES: Final = ("invalid_token", "server_unavailable", "tenant_limit_exceeded", UNKNOWN_CODE)
"""A code after which nothing may be tried again, one that clients try again, one in between, and an unknown one."""


def error(code: str) -> AnswerLetter:
    """Return the input of an error; the message doesn't repeat the code."""
    fault = {"kind": "error", "code": code, "text": "not now"}
    known = code in [str(each) for each in ErrorCode]
    return AnswerLetter(f"error {code}", fault, code=code, requirement=_REFUSED if known else _UNKNOWN)


SILENCE: Final = AnswerLetter("no answer", {"kind": "drop", "when": _REQUEST}, requirement=_SILENT)
"""No answer: only for clients that declare their time-out."""

UNASKED: Final = AnswerLetter("ok and more", {"kind": "unsolicited", "body": {"type": "heartbeat_response"}})
"""A good answer with an unasked heartbeat_response: no usual input, since the reaction often depends on the moment."""

_STATUS: Final = {"kind": "member", "member": "status", "value": "error"}
_OTHERS: Final = (
    AnswerLetter("status error", _STATUS, steps=("auth", "tunnel_info"), requirement={"auth": "CC-REF-007"}),
    AnswerLetter("malformed", {"kind": "damage-json", "how": "words"}, requirement="CC-BRK-002"),
    AnswerLetter("unknown type", {"kind": "wrong-type", "type": "surprise"}, requirement="CC-BRK-004"),
    AnswerLetter("other tunnel_id", {"kind": "wrong-id"}, steps=("tunnel_info",), requirement="CC-BRK-008"),
    AnswerLetter("close", {"kind": "close", "when": _REQUEST}, drop="close"),
    AnswerLetter("reset", {"kind": "reset", "when": _REQUEST}, drop="reset"),
)


def letters(names: Iterable[str] = (), *, silence: bool = False) -> dict[str, AnswerLetter]:
    """Return the inputs by name: the named ones after `ok`, or the usual ones. Raises KeyError for an unknown name.

    `silence`: the client declares its time-out, so that an answer may be missing.
    """
    usual = (*map(error, _CODES), *_OTHERS, *([SILENCE] if silence else []))
    known = {each.name: each for each in (OK, SILENCE, UNASKED, *_OTHERS, *map(error, (*ErrorCode, UNKNOWN_CODE)))}
    chosen = [known[name] for name in names] or usual
    return {each.name: each for each in (OK, *chosen)}


def step_of(output: str) -> str:
    """Return the request that an output names: the one that the next input answers. "" if it names none."""
    word = output.split(",")[0].split(" ")[0]
    return word if word in STEPS else ""


def tunnel(number: int) -> str:
    """Return the name of a client's tunnel, by its number from 1; an output doesn't name the first one."""
    return f"tunnel {number}"


def forced(output: str, letter: AnswerLetter) -> str:
    """Return the output that an input draws after this output without being tried, or ""."""
    if output in (OVER, *GONE) or output.startswith(ENDS):
        return OVER
    return WAITS if output == WAITS and not letter.drop else ""
