"""The nine messages, and what makes one of them valid.

`parse` turns a decoded JSON value into a message or into a `Violation` that names the requirement it breaks and the
error code with which a relay refuses it. The rules are those of `schemas/` (a property test holds the two together),
made stricter by the demands at SHOULD level, which our own relay and client keep as well. Unknown members are ignored.

Source: Message Types; Notes / all fields are required.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar

from cbspec.protocol.codes import ErrorCode


class Role(Enum):
    """The two ends of a connection."""

    CLIENT = "client"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a message is not valid.

    `requirement` is the catalogue's id, `code` what a relay answers to it, `text` the reason without any value that
    could be secret.
    """

    requirement: str
    code: ErrorCode
    text: str


@dataclass(frozen=True, slots=True)
class Hello:
    """The client opens. Source: Message Types / 1. Hello."""

    type: ClassVar[str] = "hello"
    version: str = "1.0"
    features: tuple[str, ...] = ("tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics")


@dataclass(frozen=True, slots=True)
class HelloResponse:
    """The relay answers a hello. Source: Message Types / 1. Hello."""

    type: ClassVar[str] = "hello_response"
    version: str = "1.0"
    features: tuple[str, ...] = ("tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics")


@dataclass(frozen=True, slots=True)
class Auth:
    """The client shows its token. Source: Message Types / 2. Authentication."""

    type: ClassVar[str] = "auth"
    token: str

    def __repr__(self) -> str:
        return "Auth(token='***')"


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The relay knows the client. Source: Message Types / 2. Authentication."""

    type: ClassVar[str] = "auth_response"
    client_id: str
    tenant_id: str
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class TunnelInfo:
    """The client asks for a tunnel. Source: Message Types / 3. Tunnel Management."""

    type: ClassVar[str] = "tunnel_info"
    tunnel_id: str
    tenant_id: str
    local_port: int
    remote_host: str
    remote_port: int


@dataclass(frozen=True, slots=True)
class TunnelResponse:
    """The relay opened the tunnel. Source: Message Types / 3. Tunnel Management."""

    type: ClassVar[str] = "tunnel_response"
    tunnel_id: str
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The client asks whether the relay is there. Source: Message Types / 4. Heartbeat."""

    type: ClassVar[str] = "heartbeat"


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """The relay is there. Source: Message Types / 4. Heartbeat."""

    type: ClassVar[str] = "heartbeat_response"


@dataclass(frozen=True, slots=True)
class Error:
    """The relay refuses. Source: Message Types / 5. Error; Error Codes."""

    type: ClassVar[str] = "error"
    code: str
    message: str


Request = Hello | Auth | TunnelInfo | Heartbeat
Answer = HelloResponse | AuthResponse | TunnelResponse | HeartbeatResponse | Error
Message = Request | Answer


class _Wrong(ValueError):
    """A member's value is of the wrong type; the argument says how it should be."""


class _Empty(_Wrong):
    """A member's value is of the right type, but empty, blank or zero."""


class _OutOfRange(_Wrong):
    """A member's value is a number, but none that it may be."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("must be a string")
    return value


def _filled(value: object) -> str:
    if not _text(value):
        raise _Empty("must not be empty")
    return str(value)


def _not_blank(value: object) -> str:
    if not _text(value).strip():
        raise _Empty("must not be blank")
    return str(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Wrong("must be an array of strings")
    return tuple(value)


def _port(value: object) -> int:
    # JSON has one kind of number: 3389.0 is the integer 3389.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("must be an integer")
    if value == 0:
        raise _Empty("must be between 1 and 65535")
    if not 1 <= value <= 65535:  # which an infinite or undefined number isn't either
        raise _OutOfRange("must be between 1 and 65535")
    if value != int(value):
        raise _OutOfRange("must be an integer")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Member:
    """How a member is read, and the requirement that it breaks by being missing or else wrong.

    The other three are for demands that name the case apart: wrong type, empty or zero, out of range.
    """

    read: Callable[[object], Any]
    requirement: str
    typed: str = ""
    empty: str = ""
    ranged: str = ""

    def blame(self, wrong: _Wrong) -> str:
        """Return the requirement that a wrong value breaks."""
        match wrong:
            case _Empty():
                return self.empty or self.ranged or self.requirement
            case _OutOfRange():
                return self.ranged or self.requirement
            case _:
                return self.typed or self.requirement


@dataclass(frozen=True, slots=True)
class _Rules:
    """How a message of one type is read: its class, who sends it, what refuses it, and its members."""

    make: type[Message]
    sender: Role
    refusal: ErrorCode
    members: Mapping[str, _Member]


_CLIENT, _RELAY = Role.CLIENT, Role.RELAY
_NO_CODE = ErrorCode.UNKNOWN_MESSAGE_TYPE  # nothing is ever answered to a relay's message; also the fallback for hello

RULES: Mapping[str, _Rules] = {
    "hello": _Rules(
        Hello,
        _CLIENT,
        _NO_CODE,
        {"version": _Member(_text, "CB-HEL-005"), "features": _Member(_texts, "CB-HEL-006")},
    ),
    "hello_response": _Rules(
        HelloResponse,
        _RELAY,
        _NO_CODE,
        {"version": _Member(_text, "CB-HEL-002"), "features": _Member(_texts, "CB-HEL-003")},
    ),
    "auth": _Rules(
        Auth,
        _CLIENT,
        ErrorCode.INVALID_TOKEN,
        {"token": _Member(_filled, "CB-AUT-014", typed="CB-AUT-015", empty="CB-AUT-013")},
    ),
    "auth_response": _Rules(
        AuthResponse,
        _RELAY,
        _NO_CODE,
        {
            "status": _Member(_text, "CB-AUT-001"),
            "client_id": _Member(_text, "CB-AUT-002"),
            "tenant_id": _Member(_text, "CB-AUT-003"),
        },
    ),
    "tunnel_info": _Rules(
        TunnelInfo,
        _CLIENT,
        ErrorCode.INVALID_TUNNEL_INFO,
        {
            "tunnel_id": _Member(_filled, "CB-TUN-005", empty="CB-TUN-012"),
            "tenant_id": _Member(_filled, "CB-TEN-005"),
            "local_port": _Member(_port, "CB-TUN-006", ranged="CB-TUN-007", empty="CB-TUN-011"),
            "remote_host": _Member(_not_blank, "CB-TUN-008", empty="CB-TUN-013"),
            "remote_port": _Member(_port, "CB-TUN-009", ranged="CB-TUN-010"),
        },
    ),
    "tunnel_response": _Rules(
        TunnelResponse,
        _RELAY,
        _NO_CODE,
        {"status": _Member(_text, "CB-TUN-001"), "tunnel_id": _Member(_text, "CB-TUN-002")},
    ),
    "heartbeat": _Rules(Heartbeat, _CLIENT, _NO_CODE, {}),
    "heartbeat_response": _Rules(HeartbeatResponse, _RELAY, _NO_CODE, {}),
    # A client that meets a twelfth code still has an error in its hands, not a broken message: any string passes.
    "error": _Rules(
        Error, _RELAY, _NO_CODE, {"code": _Member(_text, "CB-ERR-001"), "message": _Member(_text, "CB-ERR-002")}
    ),
}


def type_of(value: object, sender: Role) -> str | Violation:
    """Return the type of a decoded message that came from `sender`, or why it is of none."""
    other = "CB-MSG-003" if sender is Role.RELAY else ""
    if not isinstance(value, dict):
        return Violation("CB-MSG-002" if other else "CB-MSG-005", _NO_CODE, "a message must be a JSON object")
    name = value.get("type")
    if not isinstance(name, str):
        return Violation(other or "CB-UNK-002", _NO_CODE, "the member 'type' must be a string")
    rules = RULES.get(name)
    if rules is None:
        return Violation(other or "CB-UNK-001", _NO_CODE, "the message is of no known type")
    if rules.sender is not sender:
        return Violation(other or "CB-UNK-003", _NO_CODE, f"a {name} is never sent by a {sender.value}")
    return name


def parse(value: object, sender: Role) -> Message | Violation:
    """Return the message that the decoded JSON `value` is, coming from `sender`, or the first rule that it breaks."""
    name = type_of(value, sender)
    if isinstance(name, Violation) or not isinstance(value, dict):
        return name if isinstance(name, Violation) else Violation("CB-MSG-002", _NO_CODE, "not an object")
    rules = RULES[name]
    found: dict[str, Any] = {}
    for member, rule in rules.members.items():
        if member not in value:
            return Violation(rule.requirement, rules.refusal, f"{name}: the member '{member}' is missing")
        try:
            found[member] = rule.read(value[member])
        except _Wrong as wrong:
            return Violation(rule.blame(wrong), rules.refusal, f"{name}: the member '{member}' {wrong}")
    return rules.make(**found)


# A status comes first, whatever the class's own order: it has a default.
_IN_ORDER: Mapping[type[Message], tuple[str, ...]] = {
    rules.make: tuple(field.name for field in sorted(fields(rules.make), key=lambda field: field.name != "status"))
    for rules in RULES.values()
}


def to_dict(message: Message) -> dict[str, Any]:
    """Return the message as the JSON object that goes on the wire, members in the specification's order."""
    body: dict[str, Any] = {"type": message.type}
    for name in _IN_ORDER[type(message)]:
        value = getattr(message, name)
        body[name] = list(value) if isinstance(value, tuple) else value
    return body


def encode(message: Message) -> bytes:
    """Return the message as one JSON text in UTF-8, without a line feed in it."""
    return json.dumps(to_dict(message), ensure_ascii=False, separators=(",", ":")).encode()
