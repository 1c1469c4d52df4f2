"""Each ready-made scenario has the effect that its sentence describes, and matches the schema."""

from __future__ import annotations

import json
import socket
import ssl
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jsonschema
import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator import ConfigError, LocalRelay
from cbspec_simulator.settings.scenarios import scenario_file, scenarios
from cbspec_simulator.settings.schema import scenario_schema
from tests.support.client import PATIENCE, RawClient, entered
from tests.support.messages import BEAT, HELLO, tunnel

VALIDATOR: Final = jsonschema.Draft202012Validator(scenario_schema())
BEATEN: Final = "heartbeat_response"
IN: Final = ["hello_response", "auth_response"]


def authenticated(relay: LocalRelay, tenant: str = "tenant-001") -> RawClient:
    """Connect and authenticate."""
    client = RawClient.to(relay)
    assert client.enter(tenant) == IN
    return client


def flaky_network(relay: LocalRelay) -> None:
    def attempt() -> str:
        try:
            with RawClient.to(relay) as client:
                return client.name(HELLO)
        except OSError:
            return "no connection"

    def strikes() -> list[tuple[int, str, str]]:
        return [(entry.connection, entry.type, entry.text) for entry in relay.transcript if entry.event == "fault"]

    found = [attempt() for _ in range(40)]
    assert {"hello_response", "no connection"} <= set(found)
    assert found.count("hello_response") > len(found) / 2
    first = strikes()
    assert {name for _, name, _ in first} >= {"jitter", "pieces", "lost"}
    relay.reset()
    for _ in found:
        attempt()
    assert strikes() == first  # the same seed


def slow_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        began = time.monotonic()
        assert client.name(HELLO) == "hello_response"
        assert time.monotonic() - began > 0.7


def draining_relay(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        relay.advance(10)
        assert [client.name(BEAT), client.name(tunnel())] == [BEATEN, "server_unavailable"]
        assert entered(relay)[0] == "server_unavailable"
        relay.advance(10)
        assert client.line() == b""
    relay.advance(10)
    assert entered(relay) == IN


def tenant_at_its_limit(relay: LocalRelay) -> None:
    with authenticated(relay) as client, authenticated(relay, "tenant-002") as other:
        answers = [client.name(tunnel(name)) for name in ("a", "b", "c")]
        assert answers == ["tunnel_response", "tunnel_response", "tenant_limit_exceeded"]
        assert entered(relay) == ["hello_response", "tenant_limit_exceeded"]
        assert {other.name(tunnel(name, "tenant-002")) for name in ("a", "b", "c")} == {"tunnel_response"}


def rate_limited_tenant(relay: LocalRelay) -> None:
    with authenticated(relay) as client, authenticated(relay, "tenant-002") as other:
        assert "rate_limit_exceeded" in [client.name(BEAT) for _ in range(50)]
        relay.advance(3)
        assert client.name(BEAT) == BEATEN
        assert {other.name(BEAT) for _ in range(50)} == {BEATEN}


def noisy_neighbour(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        relay.advance(5)
        assert client.name(tunnel()) == "buffer_pool_exhausted"
        relay.advance(10)
        assert client.name(tunnel()) == "tunnel_response"
        relay.advance(5)
        assert entered(relay)[0] == "connection_limit_reached"
        relay.advance(5)
        assert entered(relay) == IN


def expired_token(relay: LocalRelay) -> None:
    for tenant in ("tenant-001", "tenant-002"):
        with RawClient.to(relay) as client:
            assert client.enter(tenant) == ["hello_response", "invalid_token"]
            assert client.name({"type": "auth", "token": relay.token(tenant)}) == "auth_response"


def half_dead_connection(relay: LocalRelay) -> None:
    for _ in range(2):
        with authenticated(relay) as client:
            assert [client.name(BEAT) for _ in range(2)] == [BEATEN] * 2
            before = relay.transcript.entries[-1]
            client.send(BEAT)
            relay.transcript.wait_for("fault", "half-dead", after=before)
            assert [connection.state for connection in relay.connections] == ["authenticated"]
            assert client.is_silent()


def silent_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        assert client.tls_version == "TLSv1.3"
        client.send(HELLO)
        assert client.is_silent()


def relay_down_and_up(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        relay.advance(5)
        assert client.line() == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(relay.address, PATIENCE)
        relay.advance(5)
        assert entered(relay) == IN


def unavailable_at_first(relay: LocalRelay) -> None:
    assert entered(relay)[0] == "server_unavailable"
    relay.advance(5)
    assert entered(relay) == IN


def certificate_about_to_expire(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        left = ssl.cert_time_to_seconds(str(client.certificate["notAfter"])) - time.time()
        assert 300 - PATIENCE < left <= 300


def expired_certificate(relay: LocalRelay) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        RawClient.to(relay)


def man_in_the_middle(relay: LocalRelay) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"issuer|self.signed"):
        RawClient.to(relay)


def old_tls(relay: LocalRelay) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        RawClient.to(relay)
    context = relay.ssl_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient.to(relay, context) as client:
        assert client.tls_version == "TLSv1.2"


def answers_out_of_order(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        assert client.name(tunnel("first")) == "tunnel_response"
        client.send(tunnel("second"), tunnel("third"))
        assert [json.loads(client.line())["tunnel_id"] for _ in range(2)] == ["third", "second"]


def broken_answers(relay: LocalRelay) -> None:
    lines = []
    with authenticated(relay) as client:
        for _ in range(13):
            client.send(BEAT)
            lines.append(client.line().rstrip(b"\n"))
    good = b'{"type":"heartbeat_response"}'
    broken = lines[::3]
    assert [line for place, line in enumerate(lines) if place % 3] == [good] * 8
    assert (broken[0], broken[2]) == (good[:-1], good[:10])
    with pytest.raises(UnicodeDecodeError):
        broken[1].decode()
    assert broken[3:] == [b"{}", b'{"type":"hello"}']


def wrong_answers(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        assert client.name(HELLO) == "hello_response"
        assert client.ask({"type": "auth", "token": relay.token()})["tenant_id"] == "another-tenant"
        assert client.ask(tunnel("mine"))["tunnel_id"] == "another-id"


def newer_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        hello, auth = client.ask(HELLO), client.ask({"type": "auth", "token": relay.token()})
    assert {"tls", "heartbeat", "quic"} <= set(hello["features"])
    assert auth["status"] == "ok"
    assert "since_version" in hello.keys() & auth.keys()


def every_error_code(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        assert [client.name(tunnel()) for _ in range(12)] == [*ErrorCode, "teapot"]


EFFECTS: Final[dict[str, Callable[[LocalRelay], None]]] = {
    effect.__name__.replace("_", "-"): effect
    for effect in (
        flaky_network, slow_relay, draining_relay, tenant_at_its_limit, rate_limited_tenant, noisy_neighbour,
        expired_token, half_dead_connection, silent_relay, relay_down_and_up, unavailable_at_first,
        certificate_about_to_expire, expired_certificate, man_in_the_middle, old_tls, answers_out_of_order,
        broken_answers, wrong_answers, newer_relay, every_error_code,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in scenarios()])
def test_scenarios(name: str) -> None:
    sentence, text = dict(scenarios())[name], scenario_file(name).read_text(encoding="utf-8")
    assert text.startswith(f"# {sentence}\n")
    assert sentence.endswith(".")
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    with LocalRelay(name) as relay:
        EFFECTS[name](relay)


def test_a_scenario_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.touch()
    assert scenario_file(str(own)) == own
    assert scenario_file("slow-relay").stem == "slow-relay"
    with pytest.raises(ConfigError, match=r"scenario slow: no such scenario and no such file; did you mean slow-relay"):
        scenario_file("slow")
    with pytest.raises(ConfigError, match=r"--list-scenarios lists"):
        scenario_file("zzz")
