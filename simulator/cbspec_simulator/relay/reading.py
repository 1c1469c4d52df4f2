"""How message texts become messages, by a relay's behaviour; a text that says nothing of its own is read once."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import RULES, Heartbeat, Hello, Message, Role, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import Behaviour, decode, understand

_MANY: Final = 64  # texts that are remembered: clients write a hello and a heartbeat in a few ways
_SHORT: Final = 256  # bytes


class Reading:
    """Reads message texts.

    Arguments: `behaviour` says how, `max_depth` how deep they may nest. Texts of hellos and heartbeats are remembered
    where the behaviour reads them as a conforming relay does: for the same text it finds the same message again.
    """

    __slots__ = ("_behaviour", "_max_depth", "_read", "_remembers")

    def __init__(self, behaviour: Behaviour, max_depth: int) -> None:
        self._behaviour = behaviour
        self._max_depth = max_depth
        self._remembers = behaviour.decode is decode and behaviour.understand is understand
        self._read: dict[RawMessage, tuple[str, Message]] = {}

    def __call__(self, frame: RawMessage) -> tuple[str, Message | Violation]:
        """Return the type of a message, or "unknown", and the message, or the first rule that it breaks."""
        return self._read.get(frame) or self._anew(frame)

    def _anew(self, frame: RawMessage) -> tuple[str, Message | Violation]:
        value: object = None
        found: Message | Violation
        try:
            value = self._behaviour.decode(frame, self._max_depth)
            found = self._behaviour.understand(value)
        except NotStrictJson as error:
            requirement = "CB-MSG-006" if error.utf8 else "CB-MSG-005"
            found = Violation(requirement, ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {error.reason}")
        name = _type_of(value)
        if self._remembers and isinstance(found, Hello | Heartbeat) and len(frame.text) <= _SHORT:
            if len(self._read) >= _MANY:
                self._read.clear()
            self._read[frame] = name, found
        return name, found


def _type_of(value: object) -> str:
    name = value.get("type") if isinstance(value, dict) else None
    known = isinstance(name, str) and name in RULES and RULES[name].sender is Role.CLIENT
    return str(name) if known else "unknown"
