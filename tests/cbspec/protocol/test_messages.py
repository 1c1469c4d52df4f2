"""The nine messages: what is one, what isn't, and which requirement a wrong one breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import RULES, Auth, Hello, Message, Role, TunnelInfo, Violation, encode, parse, to_dict
from cbspec.protocol.strictjson import loads
from cbspec_schemas import CLIENT_TYPES, RELAY_TYPES, examples, violations
from tests.cbspec.spelling import json_values, messages, spelled

PAGE: dict[str, dict[str, Any]] = {
    "hello": {"type": "hello", "version": "1.0", "features": ["tls"]},
    "hello_response": {"type": "hello_response", "version": "1.0", "features": ["tls"]},
    "auth": {"type": "auth", "token": "<jwt>"},
    "auth_response": {"type": "auth_response", "status": "ok", "client_id": "user123", "tenant_id": "tenant-001"},
    "tunnel_info": {
        "type": "tunnel_info",
        "tunnel_id": "tunnel_001",
        "tenant_id": "tenant-001",
        "local_port": 3389,
        "remote_host": "192.168.1.100",
        "remote_port": 3389,
    },
    "tunnel_response": {"type": "tunnel_response", "status": "ok", "tunnel_id": "tunnel_001"},
    "heartbeat": {"type": "heartbeat"},
    "heartbeat_response": {"type": "heartbeat_response"},
    "error": {"type": "error", "code": "tenant_limit_exceeded", "message": "Tunnel limit exceeded for tenant"},
}
SENDER = {**dict.fromkeys(CLIENT_TYPES, Role.CLIENT), **dict.fromkeys(RELAY_TYPES, Role.RELAY)}
MISSING = object()
STRICTER = {"CB-TUN-011", "CB-TUN-012", "CB-TUN-013"}
"""Demands at SHOULD level, which the schemas leave out and our own ends keep."""

# member -> requirement by kind of fault, from the catalogue's words; "" where the value is no fault.
BLAME: dict[tuple[str, str], dict[str, str]] = {
    ("hello", "version"): {"missing": "CB-HEL-005", "type": "CB-HEL-005"},
    ("hello", "features"): {"missing": "CB-HEL-006", "type": "CB-HEL-006"},
    ("hello_response", "version"): {"missing": "CB-HEL-002", "type": "CB-HEL-002"},
    ("hello_response", "features"): {"missing": "CB-HEL-003", "type": "CB-HEL-003"},
    ("auth", "token"): {"missing": "CB-AUT-014", "type": "CB-AUT-015", "empty": "CB-AUT-013"},
    ("auth_response", "status"): {"missing": "CB-AUT-001", "type": "CB-AUT-001"},
    ("auth_response", "client_id"): {"missing": "CB-AUT-002", "type": "CB-AUT-002"},
    ("auth_response", "tenant_id"): {"missing": "CB-AUT-003", "type": "CB-AUT-003"},
    ("tunnel_info", "tunnel_id"): {"missing": "CB-TUN-005", "type": "CB-TUN-005", "empty": "CB-TUN-012"},
    ("tunnel_info", "tenant_id"): {"missing": "CB-TEN-005", "type": "CB-TEN-005", "empty": "CB-TEN-005"},
    ("tunnel_info", "local_port"): {
        "missing": "CB-TUN-006",
        "type": "CB-TUN-006",
        "zero": "CB-TUN-011",
        "range": "CB-TUN-007",
    },
    ("tunnel_info", "remote_host"): {
        "missing": "CB-TUN-008",
        "type": "CB-TUN-008",
        "empty": "CB-TUN-013",
        "blank": "CB-TUN-013",
    },
    ("tunnel_info", "remote_port"): {
        "missing": "CB-TUN-009",
        "type": "CB-TUN-009",
        "zero": "CB-TUN-010",
        "range": "CB-TUN-010",
    },
    ("tunnel_response", "status"): {"missing": "CB-TUN-001", "type": "CB-TUN-001"},
    ("tunnel_response", "tunnel_id"): {"missing": "CB-TUN-002", "type": "CB-TUN-002"},
    ("error", "code"): {"missing": "CB-ERR-001", "type": "CB-ERR-001"},
    ("error", "message"): {"missing": "CB-ERR-002", "type": "CB-ERR-002"},
}
REFUSAL = {"auth": "invalid_token", "tunnel_info": "invalid_tunnel_info"}


def values(member: str) -> dict[str, list[Any]]:
    """Return wrong values for a member, by kind of fault."""
    of_type: list[Any] = [None, True, False, 1, 1.5, "text", ["tls"], {}, [], {"a": 1}]
    if member.endswith("_port"):
        return {
            "missing": [MISSING],
            "type": [value for value in of_type if isinstance(value, bool) or not isinstance(value, int | float)],
            "zero": [0, 0.0, -0.0],
            "range": [-1, 65536, 3389.5, 0.5, -0.5, 65535.5, 10**30, float("inf"), float("-inf")],
        }
    if member == "features":
        wrong: list[Any] = [None, True, 1, "tls", {}, {"0": "tls"}, ["tls", 1], [None], [["tls"]]]
        return {"missing": [MISSING], "type": wrong}
    strings = [value for value in of_type if not isinstance(value, str)]
    return {"missing": [MISSING], "type": strings, "empty": [""], "blank": [" ", "\t\n", "\u3000"]}


def faults() -> Iterator[tuple[str, str, str, Any, str]]:
    for (kind, member), blame in BLAME.items():
        for fault, wrong in values(member).items():
            for value in wrong:
                yield kind, member, fault, value, blame.get(fault, "")


def test_the_tables_know_every_message_and_member() -> None:
    assert set(PAGE) == set(RULES) == set(SENDER)
    members = {(kind, name) for kind, body in PAGE.items() for name in body if name != "type"}
    assert set(BLAME) == members == {(kind, name) for kind, rules in RULES.items() for name in rules.members}


@pytest.mark.parametrize("kind", PAGE)
def test_the_specifications_examples_are_messages(kind: str) -> None:
    message = parse(PAGE[kind], SENDER[kind])
    assert not isinstance(message, Violation)
    assert message.type == kind
    assert to_dict(message) == PAGE[kind]
    assert list(to_dict(message)) == list(PAGE[kind])


@given(messages)
def test_every_message_makes_the_round_trip(message: Message) -> None:
    text = encode(message)
    assert b"\n" not in text
    assert parse(loads(text), SENDER[message.type]) == message
    assert violations("client" if SENDER[message.type] is Role.CLIENT else "relay", json.loads(text)) == []


@given(spelled())
def test_every_spelling_with_any_other_members_means_the_same(case: tuple[Message, bytes]) -> None:
    message, text = case
    assert parse(loads(text), SENDER[message.type]) == message


@pytest.mark.parametrize(("kind", "member", "fault", "value", "requirement"), list(faults()))
def test_a_wrong_member_breaks_its_own_requirement(
    kind: str, member: str, fault: str, value: object, requirement: str
) -> None:
    body = {name: each for name, each in {**PAGE[kind], member: value}.items() if each is not MISSING}
    found = parse(body, SENDER[kind])
    if not requirement:
        assert not isinstance(found, Violation), fault
        return
    assert isinstance(found, Violation), fault
    assert found.requirement == requirement
    assert found.code == REFUSAL.get(kind, "unknown_message_type")
    assert f"'{member}'" in found.text


@pytest.mark.parametrize("value", [3389, 3389.0, 1, 65535, 1.0, 6.5535e4])
def test_a_port_is_an_integer_in_any_of_jsons_spellings(value: float) -> None:
    message = parse({**PAGE["tunnel_info"], "local_port": value, "remote_port": value}, Role.CLIENT)
    assert isinstance(message, TunnelInfo)
    assert isinstance(message.local_port, int)
    assert message.local_port == message.remote_port == value


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "hello", [], [{"type": "heartbeat"}]])
def test_what_is_no_object_is_no_message(value: object) -> None:
    assert _requirement(value, Role.CLIENT) == "CB-MSG-005"
    assert _requirement(value, Role.RELAY) == "CB-MSG-002"


@pytest.mark.parametrize(
    ("value", "requirement"),
    [
        ({}, "CB-UNK-002"),
        ({"type": None}, "CB-UNK-002"),
        ({"type": 1}, "CB-UNK-002"),
        ({"type": ["hello"]}, "CB-UNK-002"),
        ({"Type": "heartbeat"}, "CB-UNK-002"),
        ({"type": ""}, "CB-UNK-001"),
        ({"type": "HEARTBEAT"}, "CB-UNK-001"),
        ({"type": "heartbeat "}, "CB-UNK-001"),
        ({"type": "tunnel_close"}, "CB-UNK-001"),
    ],
)
def test_what_has_no_known_type_is_no_message(value: object, requirement: str) -> None:
    assert _requirement(value, Role.CLIENT) == requirement
    assert _requirement(value, Role.RELAY) == "CB-MSG-003"


@pytest.mark.parametrize("kind", PAGE)
def test_each_end_sends_its_own_types_only(kind: str) -> None:
    if SENDER[kind] is Role.CLIENT:
        assert _requirement(PAGE[kind], Role.RELAY) == "CB-MSG-003"
    else:
        assert _requirement(PAGE[kind], Role.CLIENT) == "CB-UNK-003"


@st.composite
def nearly_messages(draw: st.DrawFn) -> dict[str, Any]:
    body = dict(PAGE[draw(st.sampled_from(list(PAGE)))])
    for name in draw(st.lists(st.sampled_from(list(body)), max_size=2, unique=True)):
        near = [value for wrong in values(name).values() for value in wrong]
        body[name] = draw(json_values | st.sampled_from(near))
    return {name: value for name, value in body.items() if value is not MISSING}


@given(nearly_messages(), st.sampled_from(Role))
def test_parse_and_the_schemas_agree(body: dict[str, Any], sender: Role) -> None:
    broken = {found.requirement for found in violations("client" if sender is Role.CLIENT else "relay", body)}
    found = parse(body, sender)
    if isinstance(found, Violation):
        assert found.requirement in broken | STRICTER
    else:
        # A code that isn't on the list is a violation to the suite; to a client it is an error like any other.
        assert broken <= ({"CB-ERR-001"} if isinstance(body.get("code"), str) else set())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_examples_are_read_as_they_say(example: Any) -> None:  # noqa: ANN401 - the schemas' own class
    found = parse(loads(example.text.encode()), Role(example.direction))
    if isinstance(found, Violation):
        assert found.requirement == example.requirement or (example.valid and found.requirement in STRICTER)
    else:
        assert example.valid or example.requirement == "CB-ERR-001"


@given(nearly_messages(), st.sampled_from(Role))
def test_a_reason_never_repeats_a_value(body: dict[str, Any], sender: Role) -> None:
    secret = {name: f"secret-{value}" for name, value in body.items()}
    for marked in (secret, {**secret, "type": body.get("type")}, {**body, "token": ["secret-"]}):
        found = parse(marked, sender)
        assert not isinstance(found, Violation) or "secret-" not in found.text


def test_a_token_is_in_no_repr() -> None:
    auth = Auth("the-very-token")
    assert "the-very-token" not in f"{auth!r} {auth} {[auth]}"


def test_a_hello_offers_the_specifications_five_features() -> None:
    assert Hello().features == ("tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics")
    assert Hello().version == "1.0"


def test_every_refusal_code_is_one_of_the_eleven() -> None:
    assert {rules.refusal for rules in RULES.values()} <= set(ErrorCode)


def _requirement(value: object, sender: Role) -> str:
    found = parse(value, sender)
    assert isinstance(found, Violation)
    assert found.code is ErrorCode.UNKNOWN_MESSAGE_TYPE
    return found.requirement
