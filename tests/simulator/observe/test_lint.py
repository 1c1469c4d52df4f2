"""Remarks about messages of other dialects, each with the member and what the specification has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cbspec_schemas
from cbspec_simulator.observe.lint import RULES, remarks
from cbspec_simulator.observe.transcript import TranscriptEntry
from cbspec_simulator.testing.relay import LocalRelay
from tests.support.client import RawClient
from tests.support.messages import auth, token, tunnel

HELLO: dict[str, Any] = {"type": "hello", "version": "1.0", "features": ["tls", "heartbeat"]}
OPEN = ("other-version", "unknown-feature", "empty", "blank", "lowest", "no-jwt", "token-long")
"""Parts of the names of valid messages that no client should send."""


def told(message: object, tenant: str = "") -> str:
    """Return the remarks about a message as one text."""
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return "\n".join(remarks(text, tenant))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({**HELLO, "version": "2.0"}, 'version "2.0": the specification has the string "1.0"'),
        ({**HELLO, "version": 1.0}, "version 1.0"),
        ({**HELLO, "features": "tls"}, 'features "tls": the specification has an array'),
        ({**HELLO, "features": ["compression"]}, 'the feature "compression"'),
        ({"type": "hello", "protocolVersion": "1.0", "features": []}, '"protocolVersion" (for version)'),
        ({**HELLO, "type": "HELLO"}, 'type "HELLO" (for "hello")'),
        ({"type": "ping"}, 'type "ping" (for "heartbeat")'),
        ({"cmd": "hello", "version": "1.0", "features": []}, '"cmd" instead of type'),
        ({"Type": "heartbeat"}, '"Type" instead of type'),
        ({"type": 7}, "type 7: each message has a string type"),
        ({"type": "auth_response", "status": "success"}, "only relays send this type"),
        ({"type": "heartbeat", "status": "success"}, 'status "success": no request has it'),
        ({"type": "auth", "jwt": "x.y.z"}, '"jwt" (for token)'),
        ({"type": "auth", "token": "Bearer x.y.z"}, 'begins with "Bearer "'),
        ({"type": "auth", "token": "secret"}, "hasn't three parts"),
        (tunnel("t", tunnel_id=..., tunnelId="t"), '"tunnelId" (for tunnel_id)'),
        (tunnel("t", tunnel_id=..., **{"tunnel-id": "t"}), '"tunnel-id" (for tunnel_id)'),
        (tunnel("t", tenant_id=..., tenantId="t"), '"tenantId" (for tenant_id)'),
        (tunnel("t", local_port=..., localPort=1), '"localPort" (for local_port)'),
        (tunnel("t", remote_host=..., host="h"), '"host" (for remote_host)'),
        (tunnel("t", local_port="3389"), 'local_port "3389": the specification has a whole number'),
        (tunnel("t", remote_port=70_000), "remote_port 70000"),
        (tunnel("t", tenant_id=""), 'tenant_id "": the specification has a string that isn\'t empty'),
        ({"type": "tunnel_info", "payload": {"tunnel_id": "t"}}, 'members inside "payload"'),
        ({"jsonrpc": "2.0", "method": "hello"}, "jsonrpc: the members are next to type"),
        (b'{"type":"heartbeat",}', "a comma before a closing bracket"),
        (b"{'type':'heartbeat'}", "single quotes"),
        (b'{type:"heartbeat"}', "a member's name without quotes"),
        (b'{"type":"heartbeat"} // beat', "a comment"),
        (b'{"type":"heartbeat","n":NaN}', "a value that JSON doesn't have"),
        (b'{"type":"heartbeat"}{"type":"heartbeat"}', "several objects in one message"),
        (b'\xef\xbb\xbf{"type":"heartbeat"}', "a byte order mark"),
        (b'[{"type":"heartbeat"}]', "an array"),
        ('{"type":"heartbeat"}'.encode("utf-16-le"), "UTF-16"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x00\x00\x00\x14" + b'{"type":"heartbeat"}', "4 bytes before the object (a length?)"),
        (b'{"type":"heartbeat","n":"\xe9"}', "a byte that isn't UTF-8 at 25"),
        (b'{"type":"hello","type":"heartbeat"}', '"type" twice with different values'),
        (b"HELO relay", "no JSON object"),
    ],
)
def test_each_dialect_has_a_remark(message: object, words: str) -> None:
    assert words in told(message)


def test_another_tenant_than_the_tokens_has_a_remark() -> None:
    assert told(tunnel("t", "tenant-002"), "tenant-001") == (
        'tenant_id "tenant-002": the token\'s tenant_id is "tenant-001"'
    )
    assert told(tunnel("t", "tenant-002")) == ""


def test_messages_of_the_specification_have_none() -> None:
    for example in cbspec_schemas.examples():
        if example.direction == "client" and example.valid and not any(part in example.name for part in OPEN):
            assert remarks(example.text.encode()) == (), example.name
    assert told(auth()) == ""


def test_a_token_is_in_no_remark() -> None:
    secret = token()
    for message in ({"type": "hello", "jwt": secret}, {"type": "auth", "jwt": secret}, tunnel("t", local_port=secret)):
        found = told(message)
        assert found
        assert secret not in found
        assert "eyJ" not in found
    assert "a token in" in told(tunnel("t", token=secret))


def test_each_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_transcript_has_the_remarks() -> None:
    with LocalRelay() as relay, RawClient.to(relay) as client:
        client.ask({**HELLO, "version": "2.0"})
        client.ask({"type": "ping"})
        found = {entry.type: entry.remarks for entry in relay.transcript.requests()}
        text = str(relay.transcript)
    assert found["hello"][0].startswith('version "2.0"')
    assert found["unknown"][0].startswith('type "ping"')
    assert '?? version "2.0": the specification has the string "1.0"' in text
    entry = TranscriptEntry.from_json(json.loads(json.dumps(relay_entry().to_json())))
    assert entry == relay_entry()


def relay_entry() -> TranscriptEntry:
    """Return an entry with a remark."""
    return TranscriptEntry(1, 1.0, 1, "tcp", "::1", "", "", "request", "ping", "{}", remarks=("a remark",))


NAMES = st.sampled_from(["type", "token", "version", "features", "local_port", "data", "tenantId"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=8,
)


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_input_raises(text: bytes) -> None:
    assert all(isinstance(remark, str) for remark in remarks(text, "tenant-001"))
