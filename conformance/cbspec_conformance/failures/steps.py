"""The steps of a failure as data: what was said on each connection, in the order of time, and what came of it.

`Connect`, `Send` and `Close` are what the suite did; what the relay answered stands beside each `Send`. Texts hold
placeholders (`cbspec_conformance.failures.recipes`) where something is new in each run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepText:
    """A message or bytes: `value` is text, or with `latin_1` bytes beyond UTF-8, a letter for each.

    `plain` says that the text is JSON in the suite's own spelling, so that a file shows the object itself.
    """

    value: str
    plain: bool = False
    latin_1: bool = False

    @classmethod
    def of(cls, data: bytes) -> StepText:
        """Return bytes as text."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return cls(data.decode("latin-1"), latin_1=True)
        return cls(text, plain=_is_plain(text))

    def to_bytes(self) -> bytes:
        """Return the text's bytes."""
        return self.value.encode("latin-1" if self.latin_1 else "utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return the text as a JSON object with one member."""
        if self.plain and _is_plain(self.value):
            return {"json": json.loads(self.value)}
        return {"latin_1" if self.latin_1 else "text": self.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepText:
        """Return the text that `to_json` made."""
        if "json" in data:
            return cls(spell(data["json"]), plain=True)
        return cls(data["latin_1"], latin_1=True) if "latin_1" in data else cls(data["text"])


@dataclass(frozen=True, slots=True)
class ConnectStep:
    """A connection is made; `connection` names it, `source` is the local address where it isn't the usual one."""

    connection: int
    transport: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One message of a `Send`: `type` is the request that it is or resembles, `fault` what is wrong with its text."""

    text: StepText
    type: str
    meant: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class StepFrame:
    """One WebSocket frame that the suite made by hand."""

    opcode: int
    fin: bool
    payload: StepText


@dataclass(frozen=True, slots=True)
class SendStep:
    """Bytes that left, and what came then.

    `requests` are the messages that they carry (none: bytes that are no message); `wire` the very bytes where these
    aren't the messages as usual, `frames` the WebSocket frames where they aren't; `cuts` where the bytes were cut into
    TLS records. `fenced` is the kind of request that was sent behind to see what came before its answer ("heartbeat",
    "unknown" or ""); `decisive` says that the failure is about this request. `then` are the messages that came, `ended`
    how the connection ended behind them.
    """

    connection: int
    requests: tuple[StepRequest, ...]
    wire: StepText | None = None
    frames: tuple[StepFrame, ...] = ()
    cuts: tuple[int, ...] = ()
    fenced: str = ""
    decisive: bool = False
    then: tuple[StepText, ...] = ()
    ended: str = ""


@dataclass(frozen=True, slots=True)
class CloseStep:
    """The suite closed a connection; `reset` without a word."""

    connection: int
    reset: bool = False


Step = ConnectStep | SendStep | CloseStep


def spell(message: object) -> str:
    """Return a message in the suite's own spelling."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _is_plain(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return spell(json.loads(text)) == text
    except (ValueError, RecursionError):
        return False


def step_to_json(step: Step) -> dict[str, Any]:
    """Return a step as a JSON object; members that say nothing are left out."""
    if isinstance(step, ConnectStep):
        return {"connect": step.connection, "transport": step.transport, **_said(source=step.source)}
    if isinstance(step, CloseStep):
        return {"close": step.connection, **_said(reset=step.reset)}
    return {
        "send": [
            {"type": request.type, **request.text.to_json(), **_said(meant=request.meant, fault=request.fault)}
            for request in step.requests
        ],
        "on": step.connection,
        **_said(
            wire=step.wire.to_json() if step.wire else None,
            frames=[{"opcode": f.opcode, "fin": f.fin, "payload": f.payload.to_json()} for f in step.frames],
            cuts=list(step.cuts),
            fenced=step.fenced,
            decisive=step.decisive,
            then=[text.to_json() for text in step.then],
            ended=step.ended,
        ),
    }


def step_from_json(data: Mapping[str, Any]) -> Step:
    """Return the step that `step_to_json` made."""
    if "connect" in data:
        return ConnectStep(data["connect"], data["transport"], data.get("source", ""))
    if "close" in data:
        return CloseStep(data["close"], data.get("reset", False))
    return SendStep(
        data["on"],
        tuple(
            StepRequest(StepText.from_json(entry), entry["type"], entry.get("meant", ""), entry.get("fault", ""))
            for entry in data["send"]
        ),
        wire=StepText.from_json(data["wire"]) if "wire" in data else None,
        frames=tuple(
            StepFrame(entry["opcode"], entry["fin"], StepText.from_json(entry["payload"]))
            for entry in data.get("frames", ())
        ),
        cuts=tuple(data.get("cuts", ())),
        fenced=data.get("fenced", ""),
        decisive=data.get("decisive", False),
        then=tuple(StepText.from_json(entry) for entry in data.get("then", ())),
        ended=data.get("ended", ""),
    )


def _said(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}
