"""Validation: `parse` agrees with the JSON Schemas, and a message is read as it was written."""

from __future__ import annotations

import json
from typing import Any, Final

from cbspec.protocol.messages import RULES, Role, Violation, encode, parse
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_schemas import violations
from tests.cbspec.protocol.test_messages import PAGE, STRICTER
from tests.fuzz.target import Choices

_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 65535, 65536, 3389.0, 0.5, 1e400, -0.0, 10**30, "", " ", "ok", "x", "\u00a0", [],
    ["tls"], [1], [[]], {}, {"type": "hello"}, "unknown_message_type",
)  # fmt: skip


def check(data: bytes) -> None:
    """Parse a changed message of the specification, or any JSON."""
    choices = Choices(data)
    mode = choices.byte()
    sender = Role.CLIENT if mode & 1 else Role.RELAY
    try:
        value = _changed(choices) if mode & 2 else loads(choices.rest)
    except NotStrictJson:
        return
    broken = {found.requirement for found in violations("client" if sender is Role.CLIENT else "relay", value)}
    found = parse(value, sender)
    if isinstance(found, Violation):
        assert found.requirement in broken | STRICTER, (found, broken)
        return
    assert isinstance(value, dict)
    assert broken <= ({"CB-ERR-001"} if isinstance(value.get("code"), str) else set()), (found, broken)
    text = encode(found)
    assert b"\n" not in text
    assert parse(loads(text), sender) == found
    ports = {name: value.get(name) for name in ("local_port", "remote_port")}
    whole = {name: int(port) for name, port in ports.items() if isinstance(port, float) and port.is_integer()}
    assert json.loads(text).items() <= {**value, **whole}.items()


def _changed(choices: Choices) -> object:
    body: dict[str, Any] = dict(PAGE[tuple(PAGE)[choices.below(len(PAGE))]])
    while choices:
        name = tuple(body)[choices.below(len(body))] if body else "type"
        value = choices.byte()
        if value < len(_VALUES):
            body[name] = _VALUES[value]
        elif value < 128:
            body.pop(name, None)
        elif value < 160:
            body[name] = tuple(RULES)[value % len(RULES)]
        else:
            body[name] = choices.bytes(value % 8).decode("utf-8", "replace")
    return body
