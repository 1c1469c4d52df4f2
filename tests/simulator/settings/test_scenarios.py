"""The ready-made scenarios: each does on the wire what its first line promises, and is what the schema says."""

from __future__ import annotations

import json
import socket
import ssl
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator import ConfigError, LocalRelay
from cbspec_simulator.settings.scenarios import scenario_file, scenarios
from cbspec_simulator.settings.schema import scenario_schema
from tests.support.client import PATIENCE, RawClient, entered
from tests.support.messages import BEAT, HELLO, tunnel

NAMES = [name for name, _ in scenarios()]
IN = ["hello_response", "auth_response"]
VALIDATOR = jsonschema.Draft202012Validator(scenario_schema())

Show = Callable[[LocalRelay], None]


def flaky_network(relay: LocalRelay) -> None:
    def attempt() -> str:
        try:
            with RawClient.to(relay) as talk:
                return talk.name(HELLO)
        except OSError:
            return "no connection"

    def decided() -> list[tuple[int, str, str]]:
        return [(entry.connection, entry.type, entry.text) for entry in relay.transcript if entry.event == "fault"]

    found = [attempt() for _ in range(40)]
    assert {"hello_response", "no connection"} <= set(found)
    assert found.count("hello_response") > len(found) / 2, "too flaky to get anything done"
    first = decided()
    assert {name for _, name, _ in first} >= {"jitter", "pieces", "lost"}
    relay.reset()
    for _ in found:
        attempt()
    assert decided() == first, "the seed repeats it"


def slow_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        began = time.monotonic()
        assert talk.name(HELLO) == "hello_response"
        assert time.monotonic() - began > 0.7


def draining_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        relay.advance(10)
        assert talk.name(BEAT) == "heartbeat_response"
        assert talk.name(tunnel()) == "server_unavailable"
        assert entered(relay)[0] == "server_unavailable"
        relay.advance(10)
        assert talk.line() == b""
    relay.advance(10)
    assert entered(relay) == IN


def tenant_at_its_limit(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk, RawClient.to(relay) as other:
        assert talk.enter() == IN
        answers = [talk.name(tunnel(name)) for name in ("a", "b", "c")]
        assert answers == ["tunnel_response", "tunnel_response", "tenant_limit_exceeded"]
        assert entered(relay) == ["hello_response", "tenant_limit_exceeded"]
        assert other.enter("tenant-002") == IN
        assert {other.name(tunnel(name, "tenant-002")) for name in ("a", "b", "c")} == {"tunnel_response"}


def rate_limited_tenant(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk, RawClient.to(relay) as other:
        assert talk.enter() == IN
        assert "rate_limit_exceeded" in [talk.name(BEAT) for _ in range(50)]
        relay.advance(3)
        assert talk.name(BEAT) == "heartbeat_response"
        assert other.enter("tenant-002") == IN
        assert {other.name(BEAT) for _ in range(50)} == {"heartbeat_response"}


def noisy_neighbour(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        relay.advance(5)
        assert talk.name(tunnel()) == "buffer_pool_exhausted"
        relay.advance(10)
        assert talk.name(tunnel()) == "tunnel_response"
        relay.advance(5)
        assert entered(relay)[0] == "connection_limit_reached"
        relay.advance(5)
        assert entered(relay) == IN


def expired_token(relay: LocalRelay) -> None:
    for tenant in ("tenant-001", "tenant-002"):
        with RawClient.to(relay) as talk:
            assert talk.enter(tenant) == ["hello_response", "invalid_token"]
            assert talk.name({"type": "auth", "token": relay.token(tenant)}) == "auth_response"


def half_dead_connection(relay: LocalRelay) -> None:
    for _ in range(2):
        with RawClient.to(relay) as talk:
            assert talk.enter() == IN
            assert [talk.name(BEAT) for _ in range(2)] == ["heartbeat_response"] * 2
            before = relay.transcript.entries[-1]
            talk.send(BEAT)
            relay.transcript.wait_for("fault", "half-dead", after=before)
            assert [one.state for one in relay.connections] == ["authenticated"]
            _silent(talk)


def silent_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.tls_version == "TLSv1.3"
        talk.send(HELLO)
        _silent(talk)


def _silent(talk: RawClient) -> None:
    assert talk.is_silent()


def relay_down_and_up(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        relay.advance(5)
        assert talk.line() == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(relay.address, PATIENCE)
        relay.advance(5)
        assert entered(relay) == IN


def unavailable_at_first(relay: LocalRelay) -> None:
    assert entered(relay)[0] == "server_unavailable"
    relay.advance(5)
    assert entered(relay) == IN


def certificate_about_to_expire(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        certificate = talk.certificate
        left = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
        assert 300 - PATIENCE < left <= 300
        assert talk.enter() == IN


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
    with RawClient.to(relay, context) as talk:
        assert talk.tls_version == "TLSv1.2"


def answers_out_of_order(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        assert talk.name(tunnel("first")) == "tunnel_response"
        talk.send(tunnel("second"), tunnel("third"))
        assert [json.loads(talk.line())["tunnel_id"] for _ in range(2)] == ["third", "second"]


def broken_answers(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        lines = []
        for _ in range(13):
            talk.send(BEAT)
            lines.append(talk.line().rstrip(b"\n"))
    good = b'{"type":"heartbeat_response"}'
    broken = lines[::3]
    assert [line for place, line in enumerate(lines) if place % 3] == [good] * 8
    assert broken[0] == good[:-1]
    with pytest.raises(UnicodeDecodeError):
        broken[1].decode()
    assert broken[2] == good[:10]
    assert broken[3:] == [b"{}", b'{"type":"hello"}']


def wrong_answers(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.name(HELLO) == "hello_response"
        assert talk.ask({"type": "auth", "token": relay.token()})["tenant_id"] == "another-tenant"
        assert talk.ask(tunnel("mine"))["tunnel_id"] == "another-id"


def newer_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        said = talk.ask(HELLO)
        assert {"tls", "heartbeat", "quic"} <= set(said["features"])
        assert "since_version" in said
        answer = talk.ask({"type": "auth", "token": relay.token()})
        assert (answer["status"], answer["tenant_id"]) == ("ok", "tenant-001")
        assert "since_version" in answer


def every_error_code(relay: LocalRelay) -> None:
    with RawClient.to(relay) as talk:
        assert talk.enter() == IN
        assert [talk.name(tunnel()) for _ in range(12)] == [*ErrorCode, "teapot"]


SHOWN: dict[str, Show] = {
    show.__name__.replace("_", "-"): show
    for show in (
        flaky_network, slow_relay, draining_relay, tenant_at_its_limit, rate_limited_tenant, noisy_neighbour,
        expired_token, half_dead_connection, silent_relay, relay_down_and_up, unavailable_at_first,
        certificate_about_to_expire, expired_certificate, man_in_the_middle, old_tls, answers_out_of_order,
        broken_answers, wrong_answers, newer_relay, every_error_code,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_does_what_it_promises(name: str) -> None:
    with LocalRelay(name) as relay:
        SHOWN[name](relay)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_what_the_schema_says(name: str) -> None:
    data = tomllib.loads(scenario_file(name).read_text(encoding="utf-8"))
    assert list(VALIDATOR.iter_errors(data)) == []


@pytest.mark.parametrize(("name", "sentence"), list(scenarios()))
def test_a_scenario_begins_with_a_sentence(name: str, sentence: str) -> None:
    assert scenario_file(name).read_text(encoding="utf-8").startswith("# ")
    assert sentence[0].isupper() or sentence.startswith("tenant-")
    assert sentence.endswith(".")


def test_a_scenario_is_found_by_name_or_by_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.touch()
    assert scenario_file(str(own)) == own
    assert scenario_file("slow-relay").stem == "slow-relay"
    with pytest.raises(ConfigError, match=r"scenario slow: no such scenario and no such file; did you mean slow-relay"):
        scenario_file("slow")
    with pytest.raises(ConfigError, match=r"--list-scenarios lists"):
        scenario_file("zzz")
