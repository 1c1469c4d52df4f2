"""Each ready-made scenario has the effect that its sentence describes, and matches the schema.

The function with the scenario's name checks the effect.
"""

from __future__ import annotations

import ssl
import time
import tomllib
from collections.abc import Callable
from typing import Final

import jsonschema
import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator import LocalRelay
from cbspec_simulator.settings.scenarios import scenario_file, scenarios
from cbspec_simulator.settings.schema import scenario_schema
from tests.support.client import PATIENCE, RawClient, entered
from tests.support.messages import BEAT, HELLO, tunnel

VALIDATOR: Final = jsonschema.Draft202012Validator(scenario_schema())
BEATEN: Final = "heartbeat_response"
OPENED: Final = "tunnel_response"
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

    found = [attempt() for _ in range(40)]
    assert "no connection" in found
    assert found.count("hello_response") > len(found) / 2
    assert {entry.type for entry in relay.transcript if entry.event == "fault"} >= {"jitter", "pieces", "lost"}


def slow_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        assert client.is_slow(HELLO, seconds=0.7, tries=1)


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
        assert [client.name(tunnel(name)) for name in "abc"] == [OPENED, OPENED, "tenant_limit_exceeded"]
        assert entered(relay) == ["hello_response", "tenant_limit_exceeded"]
        assert [other.name(tunnel(name, "tenant-002")) for name in "abc"] == [OPENED] * 3


def rate_limited_tenant(relay: LocalRelay) -> None:
    with authenticated(relay) as client, authenticated(relay, "tenant-002") as other:
        assert "rate_limit_exceeded" in client.names(*[BEAT] * 50)
        relay.advance(3)
        assert client.name(BEAT) == BEATEN
        assert other.names(*[BEAT] * 50) == [BEATEN] * 50


def noisy_neighbour(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        for seconds, name in ((5, "buffer_pool_exhausted"), (10, OPENED)):
            relay.advance(seconds)
            assert client.name(tunnel()) == name
        relay.advance(5)
        assert entered(relay)[0] == "connection_limit_reached"
        relay.advance(5)
        assert entered(relay) == IN


def expired_token(relay: LocalRelay) -> None:
    for tenant in ("tenant-001", "tenant-002"):
        with RawClient.to(relay) as client:
            assert client.enter(tenant) == ["hello_response", "invalid_token"]
            assert client.enter(tenant)[1] == "auth_response"


def half_dead_connection(relay: LocalRelay) -> None:
    for _ in range(2):
        with authenticated(relay) as client:
            assert client.names(BEAT, BEAT) == [BEATEN] * 2
            client.send(BEAT)
            assert client.is_silent()


def silent_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        client.send(HELLO)
        assert client.is_silent()


def relay_down_and_up(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        relay.advance(5)
        assert client.line() == b""
        with pytest.raises(ConnectionRefusedError):
            RawClient.to(relay)
        relay.advance(5)
        assert entered(relay) == IN


def unavailable_at_first(relay: LocalRelay) -> None:
    relay.advance(100)  # it begins when a client does
    assert relay.never_struck == ["the fault starting (unavailable) never struck: nothing matched its condition"]
    assert entered(relay)[0] == "server_unavailable"
    relay.advance(5)
    assert entered(relay) == IN


def certificate_about_to_expire(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        left = ssl.cert_time_to_seconds(str((client.tls.getpeercert() or {})["notAfter"])) - time.time()
        assert 300 - PATIENCE < left <= 300


def answers_out_of_order(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        assert client.name(tunnel("first")) == OPENED
        assert [body["tunnel_id"] for body in client.answers(tunnel("second"), tunnel("third"))] == ["third", "second"]


def broken_answers(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        client.send(*[BEAT] * 13)
        lines = client.texts(13)
    good = b'{"type":"heartbeat_response"}'
    truncated, not_utf_8, *rest = lines[0], lines[3], lines[6], lines[9], lines[12]
    assert [line for place, line in enumerate(lines) if place % 3] == [good] * 8
    assert [truncated, *rest] == [good[:-1], good[:10], b"{}", b'{"type":"hello"}']
    assert not_utf_8.decode(errors="replace") != not_utf_8.decode(errors="ignore")


def wrong_answers(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        assert client.name(HELLO) == "hello_response"
        assert client.ask({"type": "auth", "token": relay.token()})["tenant_id"] == "another-tenant"
        assert client.ask(tunnel("mine"))["tunnel_id"] == "another-id"


def newer_relay(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        hello = client.ask(HELLO)
        assert "since_version" in hello
        assert {"tls", "heartbeat", "quic"} <= set(hello["features"])


def every_error_code(relay: LocalRelay) -> None:
    with authenticated(relay) as client:
        assert [client.name(tunnel()) for _ in range(12)] == [*ErrorCode, "teapot"]


def _refused(problem: str) -> Callable[[LocalRelay], None]:
    def check(relay: LocalRelay) -> None:
        with pytest.raises(ssl.SSLError, match=problem):
            RawClient.to(relay)

    return check


expired_certificate, man_in_the_middle, old_tls = map(_refused, ("expired", r"issuer|self.signed", r"(?i)version"))


@pytest.mark.parametrize("name", [name for name, _ in scenarios()])
def test_scenarios(name: str) -> None:
    sentence, text = dict(scenarios())[name], scenario_file(name).read_text(encoding="utf-8")
    assert text.startswith(f"# {sentence}\n")
    assert sentence.endswith(".")
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    effect = globals()[name.replace("-", "_")]
    with LocalRelay(name) as relay:
        effect(relay)
