"""Deviating relays are caught by observation alone, each by its requirement and no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.tap.relay_side import OBSERVABLE
from cbspec_simulator.testing.relay import LocalRelay
from cbspec_simulator.variations.registry import DEVIATIONS, VARIANTS
from tests.conformance.tap import sessions
from tests.conformance.tap.sessions import HELLO, Script, unanswered
from tests.conformance.tap.tapping import broken, tapped, told
from tests.support.messages import BEAT, auth, tunnel

BY_SCRIPT: Final[Mapping[Script, tuple[str, ...]]] = {
    sessions.sessions: (
        "hello-answered-by-auth-response", "hello-version-missing", "hello-version-number", "hello-features-text",
        "hello-features-number-inside", "hello-version-2.0", "auth-status-missing", "auth-status-success",
        "auth-client-id-missing", "auth-tenant-of-another", "auth-tenant-in-capitals", "auth-client-id-empty",
        "tunnel-status-created", "tunnel-status-missing", "tunnel-id-missing", "tunnel-id-capitals",
        "tunnel-id-truncated", "heartbeat-answered-by-tunnel-response", "hello-echoed", "auth-type-short",
        "tunnel-type-missing", "heartbeat-echoed", "hello-answered-twice", "tunnel-answered-twice", "heartbeat-unasked",
        "output-bom", "output-utf-16", "output-gzip", "output-cut-off", "output-log-line", "tunnel-id-unescaped",
        "hello-with-three-features-refused",
    ),
    sessions.requests: (
        "tunnel-id-missing-accepted", "tunnel-id-object-accepted", "tunnel-id-missing-wrong-code",
        "local-port-missing-accepted", "local-port-string-accepted", "local-port-true-accepted",
        "local-port-minus-one-accepted", "local-port-over-65535-accepted", "local-port-fraction-accepted",
        "remote-host-missing-accepted", "remote-host-number-accepted", "remote-host-null-accepted",
        "remote-port-missing-accepted", "remote-port-string-accepted", "remote-port-65536-accepted",
        "remote-port-zero-accepted", "remote-port-zero-wrong-code", "invalid-tunnel-info-as-a-status",
        "local-port-zero-accepted", "tunnel-id-empty-accepted", "remote-host-blank-accepted", "unknown-type-wrong-code",
        "type-ping-understood", "type-compared-by-prefix", "type-trimmed", "type-missing-wrong-code",
        "relay-type-wrong-code", "tunnel-tenant-missing-accepted", "tunnel-tenant-empty-accepted",
        "tunnel-for-any-tenant", "input-trailing-comma-accepted", "input-single-quotes-accepted",
        "input-latin-1-accepted", "error-code-unlisted", "invalid-tunnel-info-unlisted", "error-message-missing",
        "error-message-null", "error-message-empty", "error-message-blank", "error-of-another-type", "error-sent-twice",
        "error-and-success", "output-not-utf8", "everything-answered-twice-late",
    ),
    sessions.tokens: (
        "expired-accepted", "expiry-zero-ignored", "expiry-negative-ignored", "invalid-token-as-a-status",
        "nbf-ignored", "alg-none-accepted", "any-text-accepted", "empty-token-accepted", "missing-token-accepted",
        "null-token-accepted", "array-of-token-accepted", "refused-but-authenticated", "tenant-claim-missing-accepted",
        "error-quotes-token", "invalid-token-unlisted", "invalid-token-as-its-own-type",
    ),
    sessions.openings: (
        "hello-without-version-accepted", "hello-with-number-version-accepted", "hello-version-null-accepted",
        "hello-version-array-accepted", "hello-without-features-accepted", "hello-with-text-features-accepted",
        "hello-features-null-accepted", "hello-features-object-accepted", "hello-features-mixed-accepted",
        "auth-before-hello-accepted", "heartbeat-before-hello-answered", "tunnel-before-auth",
        "tunnel-before-auth-wrong-code",
    ),
    unanswered(HELLO, {"type": "status"}, {"type": "status"}, after=False): ("hello-unanswered",),
    unanswered(tunnel("t"), BEAT, BEAT): ("tunnel-unanswered",),
    unanswered(BEAT, tunnel("t"), tunnel("u")): ("heartbeat-unanswered",),
    unanswered({"type": "status"}, BEAT, BEAT): ("unknown-type-unanswered",),
    unanswered(tunnel("t", local_port="x"), BEAT, BEAT): ("bad-local-port-unanswered",),
    unanswered(BEAT, HELLO, auth(), after=False): ("before-hello-unanswered",),
    sessions.pipelined: ("input-pipelined-heartbeats-first",),
    unanswered(tunnel("t", "tenant-002"), BEAT, BEAT): ("tunnel-for-another-tenant-unanswered",),
}  # fmt: skip
"""The deviations that each script shows over TCP."""

ON_WEBSOCKET: Final[Mapping[Script, tuple[str, ...]]] = {
    sessions.session: ("websocket-wrong-accept", "websocket-masked", "tunnel-id-capitals"),
    sessions.compressed: ("input-compressed-accepted",),
    sessions.binary: ("websocket-binary",),
    sessions.pings: ("websocket-ping-unanswered", "websocket-pong-empty", "websocket-second-ping-unanswered"),
    sessions.unmasked: ("websocket-unmasked-accepted",),
    sessions.reserved: ("websocket-reserved-bit-accepted",),
    sessions.deflate: ("websocket-deflate-accepted",),
    unanswered(b"{'type': 'heartbeat'}\n", BEAT, BEAT): ("input-not-json-unanswered",),
}
"""The deviations that each script shows over WebSocket."""

ROWS = [(id_, "tcp", script) for script, ids in BY_SCRIPT.items() for id_ in ids]
ROWS += [(id_, "websocket", script) for script, ids in ON_WEBSOCKET.items() for id_ in ids]


@pytest.mark.parametrize(("id_", "transport", "script"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_a_deviation_breaks_its_requirement_alone(tmp_path: Path, id_: str, transport: str, script: Script) -> None:
    with LocalRelay(persona=id_) as relay, tapped(relay.address, tmp_path) as tap:
        script(tap, transport)
    result = tap.verdict().relay
    assert broken(result) == {DEVIATIONS[id_].requirement}, told(result)


def test_the_table_has_a_deviation_for_every_requirement_that_traffic_can_show() -> None:
    shown = {DEVIATIONS[id_].requirement for id_, _, _ in ROWS}
    assert set(OBSERVABLE) - shown == {"CB-TLS-001"}  # shown below: its relay finishes no handshake


def test_a_relay_without_tls_1_3_is_told(tmp_path: Path) -> None:
    with (
        LocalRelay(persona="tls-1.3-refused") as relay,
        tapped(relay.address, tmp_path) as tap,
        pytest.raises(ConnectionError),
    ):
        tap.client()
    assert broken(tap.verdict().relay) == {"CB-TLS-001"}


@pytest.mark.parametrize("script", [*BY_SCRIPT, *ON_WEBSOCKET])
def test_no_script_breaks_a_requirement_of_a_conforming_relay(tmp_path: Path, script: Script) -> None:
    transport = "websocket" if script in ON_WEBSOCKET else "tcp"
    with LocalRelay() as relay, tapped(relay.address, tmp_path) as tap:
        script(tap, transport)
    result = tap.verdict().relay
    assert broken(result) == set(), told(result)
    assert any(verdict.outcome is Outcome.PASSED for verdict in result.verdicts)


def test_points_that_the_specification_leaves_open_are_not_judged(tmp_path: Path) -> None:
    with LocalRelay() as relay, tapped(relay.address, tmp_path) as tap, tap.client() as client:
        sessions.enter(client)
        deep = b'{"type":"heartbeat","x":' + b"[" * 100 + b"]" * 100 + b"}\n"
        for body in (
            b'{"type":"heartbeat","type":"heartbeat"}\n',
            {"type": "HEARTBEAT"},
            {**BEAT, "x": "y" * 5000},
            deep,
        ):
            sessions.ask(client, body)
    result = tap.verdict().relay
    assert broken(result) == set(), told(result)


@pytest.mark.parametrize("id_", ["terse-errors", "no-features", "malformed-closes", "errors-in-russian"])
def test_no_variant_is_accused(tmp_path: Path, id_: str) -> None:
    assert id_ in VARIANTS
    with LocalRelay(variant=id_) as relay, tapped(relay.address, tmp_path) as tap:
        sessions.sessions(tap, "tcp")
        sessions.tokens(tap, "tcp")
    result = tap.verdict().relay
    assert broken(result) == set(), told(result)
