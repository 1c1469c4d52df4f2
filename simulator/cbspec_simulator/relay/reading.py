"""Message texts parsed by a relay's behaviour, with a cache for hellos and heartbeats."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import RULES, Heartbeat, Hello, Message, Role, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import Behaviour, decode, understand

_CACHE_SIZE: Final = 64  # texts: clients spell a hello and a heartbeat in a few ways
_LONGEST: Final = 256  # bytes of a cached text


class Reading:
    """Parses message texts as `behaviour` does, up to a nesting depth of `max_depth`.

    Only a behaviour that decodes and interprets messages as the default does uses the cache.
    """

    def __init__(self, behaviour: Behaviour, max_depth: int) -> None:
        self._behaviour = behaviour
        self._max_depth = max_depth
        self._caches = behaviour.decode is decode and behaviour.understand is understand
        self._cache: dict[RawMessage, tuple[str, Message]] = {}

    def __call__(self, frame: RawMessage) -> tuple[str, Message | Violation]:
        """Return the type of a message, or "unknown", and the message, or the first rule that it breaks."""
        return self._cache.get(frame) or self._parse(frame)

    def _parse(self, frame: RawMessage) -> tuple[str, Message | Violation]:
        value: object = None
        message: Message | Violation
        try:
            value = self._behaviour.decode(frame, self._max_depth)
            message = self._behaviour.understand(value)
        except NotStrictJson as error:
            requirement = "CB-MSG-006" if error.utf8 else "CB-MSG-005"
            message = Violation(requirement, ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {error.reason}")
        name = value.get("type") if isinstance(value, dict) else None
        if not (isinstance(name, str) and name in RULES and RULES[name].sender is Role.CLIENT):
            name = "unknown"
        if self._caches and isinstance(message, Hello | Heartbeat) and len(frame.text) <= _LONGEST:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[frame] = name, message
        return name, message
