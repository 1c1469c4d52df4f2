"""The nine messages and their validation.

`parse` converts a decoded JSON value to a message, or to a `Violation` with the broken requirement and the error code
of a relay's refusal. The rules are those of `schemas/` (a property test compares them) and the demands at SHOULD level,
which the kit's own relay and client satisfy as well. Unknown members are ignored.

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
    """Why a message is invalid.

    `requirement` is the id in the catalogue, `code` the error code of a relay's refusal, and `text` the reason, without
    values that could be secret.
    """

    requirement: str
    code: ErrorCode
    text: str


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client. Source: Message Types / 1. Hello."""

    type: ClassVar[str] = "hello"
    version: str = "1.0"
    features: tuple[str, ...] = ("tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics")


@dataclass(frozen=True, slots=True)
class HelloResponse:
    """The answer to a hello. Source: Message Types / 1. Hello."""

    type: ClassVar[str] = "hello_response"
    version: str = "1.0"
    features: tuple[str, ...] = ("tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics")


@dataclass(frozen=True, slots=True)
class Auth:
    """A client's authentication. Source: Message Types / 2. Authentication."""

    type: ClassVar[str] = "auth"
    token: str

    def __repr__(self) -> str:
        return "Auth(token='***')"


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The answer to a valid auth. Source: Message Types / 2. Authentication."""

    type: ClassVar[str] = "auth_response"
    client_id: str
    tenant_id: str
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class TunnelInfo:
    """A client's request for a tunnel. Source: Message Types / 3. Tunnel Management."""

    type: ClassVar[str] = "tunnel_info"
    tunnel_id: str
    tenant_id: str
    local_port: int
    remote_host: str
    remote_port: int


@dataclass(frozen=True, slots=True)
class TunnelResponse:
    """The answer to a valid tunnel_info. Source: Message Types / 3. Tunnel Management."""

    type: ClassVar[str] = "tunnel_response"
    tunnel_id: str
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A client's check that the relay is alive. Source: Message Types / 4. Heartbeat."""

    type: ClassVar[str] = "heartbeat"


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """The answer to a heartbeat. Source: Message Types / 4. Heartbeat."""

    type: ClassVar[str] = "heartbeat_response"


@dataclass(frozen=True, slots=True)
class Error:
    """A relay's refusal. Source: Message Types / 5. Error; Error Codes."""

    type: ClassVar[str] = "error"
    code: str
    message: str


Request = Hello | Auth | TunnelInfo | Heartbeat
Answer = HelloResponse | AuthResponse | TunnelResponse | HeartbeatResponse | Error
Message = Request | Answer

WITH_STATUS = (AuthResponse.type, TunnelResponse.type)
"""The types of message with a status."""


class _WrongValue(ValueError):
    """The value of a member is wrong; the text gives the right kind of value.

    `kinds` are the ids of `_Member` that may treat this kind of wrong value, the most specific first.
    """

    def __init__(self, text: str, *kinds: str) -> None:
        super().__init__(text)
        self.kinds = kinds


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongValue("must be a string", "wrong_type")
    return value


def _filled(value: object) -> str:
    if not (text := _text(value)):
        raise _WrongValue("must not be empty", "empty")
    return text


def _not_blank(value: object) -> str:
    if not (text := _text(value)).strip():
        raise _WrongValue("must not be blank", "empty")
    return text


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _WrongValue("must be an array of strings", "wrong_type")
    return tuple(value)


def _port(value: object) -> int:
    # JSON has one kind of number: 3389.0 is the integer 3389.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongValue("must be an integer", "wrong_type")
    if value == 0:
        raise _WrongValue("must be between 1 and 65535", "empty", "out_of_range")
    if not 1 <= value <= 65535:  # also rejects infinity and NaN
        raise _WrongValue("must be between 1 and 65535", "out_of_range")
    if value != int(value):
        raise _WrongValue("must be an integer", "out_of_range")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Member:
    """The reader of a member and the requirement that a missing or wrong value breaks.

    The other ids are for demands that treat the kinds of wrong values separately.
    """

    read: Callable[[object], Any]
    requirement: str
    wrong_type: str = ""
    empty: str = ""
    out_of_range: str = ""

    def broken_requirement(self, wrong: _WrongValue) -> str:
        return next((id_ for kind in wrong.kinds if (id_ := getattr(self, kind))), self.requirement)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules for one type of message: its class, its sender, the error code of a refusal, and its members."""

    make: type[Message]
    sender: Role
    refusal: ErrorCode
    members: Mapping[str, _Member]


_UNKNOWN = ErrorCode.UNKNOWN_MESSAGE_TYPE


def _rules(make: type[Message], sender: Role, refusal: ErrorCode = _UNKNOWN, **members: _Member) -> _Rules:
    return _Rules(make, sender, refusal, members)  # a relay's messages need no code: a client answers nothing


RULES: Mapping[str, _Rules] = {
    rules.make.type: rules
    for rules in (
        _rules(Hello, Role.CLIENT, version=_Member(_text, "CB-HEL-005"), features=_Member(_texts, "CB-HEL-006")),
        _rules(HelloResponse, Role.RELAY, version=_Member(_text, "CB-HEL-002"), features=_Member(_texts, "CB-HEL-003")),
        _rules(
            Auth,
            Role.CLIENT,
            ErrorCode.INVALID_TOKEN,
            token=_Member(_filled, "CB-AUT-014", wrong_type="CB-AUT-015", empty="CB-AUT-013"),
        ),
        _rules(
            AuthResponse,
            Role.RELAY,
            status=_Member(_text, "CB-AUT-001"),
            client_id=_Member(_text, "CB-AUT-002"),
            tenant_id=_Member(_text, "CB-AUT-003"),
        ),
        _rules(
            TunnelInfo,
            Role.CLIENT,
            ErrorCode.INVALID_TUNNEL_INFO,
            tunnel_id=_Member(_filled, "CB-TUN-005", empty="CB-TUN-012"),
            tenant_id=_Member(_filled, "CB-TEN-005"),
            local_port=_Member(_port, "CB-TUN-006", out_of_range="CB-TUN-007", empty="CB-TUN-011"),
            remote_host=_Member(_not_blank, "CB-TUN-008", empty="CB-TUN-013"),
            remote_port=_Member(_port, "CB-TUN-009", out_of_range="CB-TUN-010"),
        ),
        _rules(TunnelResponse, Role.RELAY, status=_Member(_text, "CB-TUN-001"), tunnel_id=_Member(_text, "CB-TUN-002")),
        _rules(Heartbeat, Role.CLIENT),
        _rules(HeartbeatResponse, Role.RELAY),
        # Any string is a valid code: to a client, a twelfth code is an error message, not a protocol violation.
        _rules(Error, Role.RELAY, code=_Member(_text, "CB-ERR-001"), message=_Member(_text, "CB-ERR-002")),
    )
}


def parse(value: object, sender: Role) -> Message | Violation:
    """Return the message in a decoded JSON value from `sender`, or the first violation."""
    of_relay = "CB-MSG-003" if sender is Role.RELAY else ""
    if not isinstance(value, dict):
        return Violation("CB-MSG-002" if of_relay else "CB-MSG-005", _UNKNOWN, "a message must be a JSON object")
    name = value.get("type")
    if not isinstance(name, str):
        return Violation(of_relay or "CB-UNK-002", _UNKNOWN, "the member 'type' must be a string")
    rules = RULES.get(name)
    if rules is None:
        return Violation(of_relay or "CB-UNK-001", _UNKNOWN, "the message is of no known type")
    if rules.sender is not sender:
        return Violation(of_relay or "CB-UNK-003", _UNKNOWN, f"a {name} is never sent by a {sender.value}")
    found: dict[str, Any] = {}
    for member, rule in rules.members.items():
        if member not in value:
            return Violation(rule.requirement, rules.refusal, f"{name}: the member '{member}' is missing")
        try:
            found[member] = rule.read(value[member])
        except _WrongValue as wrong:
            return Violation(rule.broken_requirement(wrong), rules.refusal, f"{name}: the member '{member}' {wrong}")
    return rules.make(**found)


# The specification's order: the status first, although it is last in the classes because of its default.
_IN_ORDER: Mapping[type[Message], tuple[str, ...]] = {
    rules.make: tuple(field.name for field in sorted(fields(rules.make), key=lambda field: field.name != "status"))
    for rules in RULES.values()
}


def to_dict(message: Message) -> dict[str, Any]:
    """Return the JSON object of a message, with the members in the specification's order."""
    body: dict[str, Any] = {"type": message.type}
    for name in _IN_ORDER[type(message)]:
        value = getattr(message, name)
        body[name] = list(value) if isinstance(value, tuple) else value
    return body


def encode(message: Message) -> bytes:
    """Return a message as JSON in UTF-8, on one line."""
    return json.dumps(to_dict(message), ensure_ascii=False, separators=(",", ":")).encode()
