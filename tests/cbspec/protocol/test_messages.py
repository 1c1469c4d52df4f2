"""The nine messages: encoding, validation, and the requirement that a wrong message breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import (
    RULES,
    WITH_STATUS,
    Auth,
    Message,
    Role,
    TunnelInfo,
    Violation,
    encode,
    parse,
    to_dict,
)
from cbspec.protocol.strictjson import loads
from cbspec_schemas import CLIENT_TYPES, ERROR_CODES, RELAY_TYPES, Direction, examples, violations
from tests.cbspec.spelling import json_values, messages

PAGE: dict[str, dict[str, Any]] = {
    each.schema: json.loads(each.text) for each in examples() if each.name.endswith("-page")
}
"""The messages of the specification."""
SENDER = {**dict.fromkeys(CLIENT_TYPES, Role.CLIENT), **dict.fromkeys(RELAY_TYPES, Role.RELAY)}
MISSING = object()
REFUSAL = {"auth": "invalid_token", "tunnel_info": "invalid_tunnel_info"}
MEMBERS = [(kind, name) for kind, body in PAGE.items() for name in body if name != "type"]
STRICTER = {"local_port": "CB-TUN-011", "tunnel_id": "CB-TUN-012", "remote_host": "CB-TUN-013"}
"""Demands at SHOULD level, which the schemas omit and `parse` includes: the values are not zero, empty or blank."""


def values(member: str) -> list[Any]:
    """Return values for a member, most of them wrong."""
    found: list[Any] = [
        MISSING,
        None,
        True,
        False,
        {},
        [],
        {"a": 1},
        ["tls"],
        ["tls", 1],
        [["tls"]],
        "",
        " \t",
        "\u3000",
    ]
    return [*found, "text", 0, 0.0, -0.0, -1, 1, 65536, 3389.5, 0.5, -0.5, 10**30, float("inf"), float("-inf")]


def direction(sender: Role) -> Direction:
    return "client" if sender is Role.CLIENT else "relay"


def test_the_tables_contain_every_message_and_member() -> None:
    assert set(PAGE) == set(RULES) == set(SENDER)
    assert set(MEMBERS) == {(kind, name) for kind, rules in RULES.items() for name in rules.members}
    assert list(ErrorCode) == list(ERROR_CODES) == list(FACTS)
    assert set(WITH_STATUS) == {kind for kind, name in MEMBERS if name == "status"}


@pytest.mark.parametrize("kind", PAGE)
def test_the_specifications_examples_are_messages_of_one_sender(kind: str) -> None:
    message = parse(PAGE[kind], SENDER[kind])
    assert not isinstance(message, Violation)
    assert list(to_dict(message).items()) == list(PAGE[kind].items())
    other = Role.RELAY if SENDER[kind] is Role.CLIENT else Role.CLIENT
    assert broken(PAGE[kind], other) == ("CB-MSG-003" if other is Role.RELAY else "CB-UNK-003")


@given(messages)
def test_an_encoded_message_is_valid_and_read_as_itself(message: Message) -> None:
    text = encode(message)
    assert b"\n" not in text
    assert parse(loads(text), SENDER[message.type]) == message
    assert violations(direction(SENDER[message.type]), json.loads(text)) == []


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_a_wrong_member_breaks_the_requirement_in_its_schema(kind: str, member: str) -> None:
    for value in values(member):
        body = {name: each for name, each in {**PAGE[kind], member: value}.items() if each is not MISSING}
        found = parse(body, SENDER[kind])
        by_schema = [broken.requirement for broken in violations(direction(SENDER[kind]), body)]
        if not isinstance(found, Violation):
            assert by_schema == [] or (kind, member) == ("error", "code"), value
            continue
        assert [found.requirement] == (by_schema or [STRICTER[member]]), value
        assert found.code == REFUSAL.get(kind, "unknown_message_type")
        assert f"'{member}'" in found.text


@pytest.mark.parametrize("value", [3389, 3389.0, 1, 65535, 1.0, 6.5535e4])
def test_a_port_is_an_integer_in_any_spelling_of_json(value: float) -> None:
    message = parse({**PAGE["tunnel_info"], "local_port": value, "remote_port": value}, Role.CLIENT)
    assert isinstance(message, TunnelInfo)
    assert isinstance(message.local_port, int)
    assert message.local_port == message.remote_port == value


@pytest.mark.parametrize(
    ("value", "by_client", "by_relay"),
    [
        *((value, "CB-MSG-005", "CB-MSG-002") for value in (None, 1, "hello", [{"type": "heartbeat"}])),
        *((value, "CB-UNK-002", "CB-MSG-003") for value in ({}, {"type": None}, {"type": ["hello"]})),
        *(({"type": name}, "CB-UNK-001", "CB-MSG-003") for name in ("", "HEARTBEAT", "heartbeat ", "tunnel_close")),
    ],
)
def test_a_value_without_a_known_type_is_rejected(value: object, by_client: str, by_relay: str) -> None:
    assert (broken(value, Role.CLIENT), broken(value, Role.RELAY)) == (by_client, by_relay)


@st.composite
def nearly_messages(draw: st.DrawFn) -> dict[str, Any]:
    body = dict(PAGE[draw(st.sampled_from(list(PAGE)))])
    for name in draw(st.lists(st.sampled_from(list(body)), max_size=2, unique=True)):
        body[name] = draw(json_values | st.sampled_from(values(name)))
    return {name: value for name, value in body.items() if value is not MISSING}


@given(nearly_messages(), st.sampled_from(Role))
def test_parse_and_the_schemas_agree(body: dict[str, Any], sender: Role) -> None:
    by_schema = {found.requirement for found in violations(direction(sender), body)}
    found = parse(body, sender)
    if isinstance(found, Violation):
        assert found.requirement in by_schema | {*STRICTER.values()}
    else:  # an unknown code is a violation to the suite, and an error like any other to a client
        assert by_schema <= ({"CB-ERR-001"} if isinstance(body.get("code"), str) else set())


@given(nearly_messages(), st.sampled_from(Role))
def test_a_violation_never_repeats_a_value(body: dict[str, Any], sender: Role) -> None:
    secret = {name: f"secret-{value}" for name, value in body.items()}
    for marked in (secret, {**secret, "type": body.get("type")}, {**body, "token": ["secret-"]}):
        found = parse(marked, sender)
        assert not isinstance(found, Violation) or "secret-" not in found.text


def test_the_repr_of_a_message_contains_no_token() -> None:
    auth = Auth("the-very-token")
    assert "the-very-token" not in f"{auth!r} {auth} {[auth]}"


def broken(value: object, sender: Role) -> str:
    found = parse(value, sender)
    assert isinstance(found, Violation)
    assert found.code is ErrorCode.UNKNOWN_MESSAGE_TYPE
    return found.requirement
