"""The steps of a failure: the messages and bytes sent on each connection in order of time, and the relay's answers.

Values that are new in each run are placeholders (`cbspec_conformance.failures.recipes`). The structs are the file
format: members with default values are left out.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Self

import msgspec

Number = Annotated[int, msgspec.Meta(ge=0)]
TransportName = Annotated[str, msgspec.Meta(pattern="^(tcp|websocket)$")]


class StepText(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message or bytes: a JSON object in the suite's own spelling, text, or a Latin-1 character for each byte."""

    json: dict[str, Any] | None = None
    text: str | None = None
    latin_1: Annotated[str, msgspec.Meta(pattern="^[\\x00-\\xff]*$")] | None = None

    def __post_init__(self) -> None:
        if [self.json, self.text, self.latin_1].count(None) != 2:
            raise ValueError("needs exactly one of json, text and latin_1")

    @classmethod
    def of(cls, data: bytes, **members: Any) -> Self:  # noqa: ANN401 - further members of a subclass
        """Return bytes as text."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return cls(latin_1=data.decode("latin-1"), **members)
        return cls(json=json.loads(text), **members) if _is_plain(text) else cls(text=text, **members)

    @property
    def value(self) -> str:
        """The text as it is spelled."""
        if self.json is not None:
            return spell(self.json)
        return self.text if self.text is not None else self.latin_1 or ""

    def with_value(self, value: str) -> Self:
        """Return the same kind of text with another value."""
        if self.json is not None and _is_plain(value):
            return msgspec.structs.replace(self, json=json.loads(value))
        if self.latin_1 is not None:
            return msgspec.structs.replace(self, latin_1=value)
        return msgspec.structs.replace(self, json=None, text=value)


class StepRequest(StepText, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of a SendStep. `type` is the request that it is or resembles, `fault` the fault of its text."""

    type: str
    meant: str = ""
    fault: str = ""


class StepFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One unusual WebSocket frame."""

    opcode: Annotated[int, msgspec.Meta(ge=0, le=10)]
    fin: bool
    payload: StepText


class FailureStep:
    """Base of the three kinds of step, which differ by their first member: connect, send or close."""


class _Step(msgspec.Struct, FailureStep, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class ConnectStep(_Step, frozen=True, rename={"connection": "connect"}):
    """The suite opens a connection. `source` is the local address, if it is not the default."""

    connection: Number
    transport: TransportName
    source: str = ""


class SendStep(_Step, frozen=True, rename={"connection": "on", "requests": "send"}):
    """The suite sends bytes, and the relay answers.

    `requests` are the messages sent (none: the bytes are no message). `wire` holds the bytes, and `frames` the
    WebSocket frames, if the messages were not sent in the usual way. `cuts` are the offsets at which the bytes were cut
    into TLS records, `fenced` is the kind of the fence that followed, and `then` are the answers. `decisive` marks the
    step that failed; `ended` is the way in which the connection ended.
    """

    connection: Number
    requests: tuple[StepRequest, ...]
    wire: StepText | None = None
    frames: tuple[StepFrame, ...] = ()
    cuts: tuple[Number, ...] = ()
    fenced: Annotated[str, msgspec.Meta(pattern="^(|heartbeat|unknown)$")] = ""
    decisive: bool = False
    then: tuple[StepText, ...] = ()
    ended: str = ""


class CloseStep(_Step, frozen=True, rename={"connection": "close"}):
    """The suite closes a connection, or aborts it with `reset`."""

    connection: Number
    reset: bool = False


KINDS = {"connect": ConnectStep, "send": SendStep, "close": CloseStep}
"""The kinds of step by the member that identifies them."""


def step_from_json(data: object) -> FailureStep:
    """Return the step of a JSON object. Raises ValueError."""
    kind = next((kind for member, kind in KINDS.items() if isinstance(data, dict) and member in data), None)
    if kind is None:
        raise ValueError(f"a step needs one of {', '.join(KINDS)}")
    step: FailureStep = msgspec.convert(data, kind)
    return step


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
