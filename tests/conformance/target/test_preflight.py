"""The preflight: targets that are not relays, and relays with defects in their first exchange."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from cbspec.profile.profile import Endpoint, IssuerSettings, Profile, TargetSettings, Tenant, TlsSettings
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from tests.conformance.build import AUTH_RESPONSE, HELLO_RESPONSE, error
from tests.conformance.conftest import MakeTarget
from tests.conformance.memory import answer, line
from tests.support.relay import Script, answering, over_tls, read_to_end, server, serving, tolerant

Answers = Callable[[dict[str, Any]], Iterable[bytes]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture
def profile_of(folder: Path) -> Callable[[Endpoint], Profile]:
    """Return a factory of profiles for scripted relays."""

    def make(address: Endpoint) -> Profile:
        return Profile(
            target=TargetSettings(address=address, timeout=5.0, transport="tcp"),
            tls=TlsSettings(ca=folder / "ca.pem"),
            tokens=IssuerSettings(secret="a-secret-that-is-long-enough-for-hs256"),
            tenants=(Tenant("tenant-001"),),
        )

    return make


@pytest.fixture
def relay(folder: Path, profile_of: Callable[[Endpoint], Profile]) -> Callable[..., Any]:
    """Return a context manager that runs a scripted relay and yields its profile."""

    @contextlib.contextmanager
    def start(answers: Answers) -> Iterator[Profile]:
        with serving(tolerant(over_tls(server(folder / "server.pem"), answering(answers)))) as address:
            yield profile_of(address)

    return start


def conforming(request: dict[str, Any]) -> list[bytes]:
    return [answer(request)]


def instead(kind: str, *answers: object) -> Answers:
    """Return answers that differ from a conforming relay's for one type of request."""

    def relay(request: dict[str, Any]) -> list[bytes]:
        if request.get("type") != kind:
            return [answer(request)]
        return [each if isinstance(each, bytes) else line(each) for each in answers]

    return relay


# ---------------------------------------------------------------------------- relays


@pytest.mark.parametrize("transport", ["auto", "tcp", "websocket"])
def test_conforming_relay(transport: str, simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(replace(simulated, target=replace(simulated.target, transport=transport)))  # type: ignore[arg-type] # one of the three
    facts = examine(target)
    assert (facts.tls, facts.hello, facts.auth, facts.tunnel, facts.heartbeat) == ("", "", "", "", "")
    assert facts.transport == ("websocket" if transport == "websocket" else "tcp")
    assert facts.websocket == (transport != "tcp")
    assert "multi_tenancy" in facts.features
    assert (target.log.findings, facts.rejected) == ([], False)


# The answers of a relay, the facts that are then not empty, and the requirements that fail.
WRONG: dict[str, tuple[Answers, set[str], set[str]]] = {
    "conforming": (conforming, set(), set()),
    "hello refused": (instead("hello", error()), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-HEL-001"}),
    "hello unanswered": (instead("hello"), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-HEL-001"}),
    "hello not JSON": (instead("hello", b"ok\n"), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-MSG-002"}),
    "hello of another type": (
        instead("hello", {"type": "welcome"}), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-MSG-003"},
    ),
    "hello without version": (instead("hello", {**HELLO_RESPONSE, "version": None}), set(), {"CB-HEL-002"}),
    "features an object": (instead("hello", {**HELLO_RESPONSE, "features": {"tls": True}}), set(), {"CB-HEL-003"}),
    "auth refused": (instead("auth", error("invalid_token")), {"auth", "tunnel", "heartbeat"}, set()),
    "auth without capacity": (instead("auth", error("tenant_limit_exceeded")), {"auth", "tunnel", "heartbeat"}, set()),
    "another tenant": (instead("auth", {**AUTH_RESPONSE, "tenant_id": "x"}), set(), {"CB-AUT-003"}),
    "tunnel refused": (instead("tunnel_info", error()), {"tunnel"}, set()),
    "tunnel unanswered": (instead("tunnel_info"), {"tunnel"}, set()),
    "heartbeat refused": (instead("heartbeat", error("unknown_message_type")), {"heartbeat"}, set()),
    "heartbeat answered twice": (
        instead("heartbeat", *[{"type": "heartbeat_response"}] * 2), set(), {"CB-MSG-004"},
    ),
}  # fmt: skip


def test_one_connection_at_a_time(relay: Callable[..., Any], make_target: MakeTarget) -> None:
    """A relay with capacity for one connection can be examined."""
    with relay(conforming) as profile:
        target = make_target(profile)
        held: list[int] = []
        connect = target.connect

        def counting(**options: Any) -> ProbeSession:  # noqa: ANN401 - connect's own
            held.append(sum(session.ended is None for session in target.room.open_sessions))
            return connect(**options)

        target.connect = counting  # type: ignore[method-assign] # records the open sessions
        examine(target)
        target.close()
    assert set(held) == {0}


@pytest.mark.parametrize("kind", WRONG)
def test_defects_become_facts_and_findings(kind: str, relay: Callable[..., Any], make_target: MakeTarget) -> None:
    answers, broken, blamed = WRONG[kind]
    with relay(answers) as profile:
        target = make_target(profile)
        facts = examine(target)
        target.close()
    assert {name for name in ("tls", "hello", "auth", "tunnel", "heartbeat") if getattr(facts, name)} == broken
    assert {finding.requirement for finding in target.log.findings} == blamed
    assert facts.rejected == (kind == "auth refused")


def test_rate_limited_auth_is_a_fact(relay: Callable[..., Any], make_target: MakeTarget) -> None:
    with relay(instead("auth", error("rate_limit_exceeded"))) as profile:
        target = make_target(profile)
        facts = examine(target)
        target.close()
    assert "rate_limit_exceeded" in facts.auth
    assert facts.hello == ""


def test_relay_with_tls_1_2_only_is_a_finding(folder: Path, profile_of: Any, make_target: MakeTarget) -> None:  # noqa: ANN401 - the fixture's own
    context = server(folder / "server.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(tolerant(over_tls(context, read_to_end))) as address:
        target = make_target(profile_of(address))
        facts = examine(target)
        target.close()
    assert facts.tls
    assert facts.hello
    assert [finding.requirement for finding in target.log.findings] == ["CB-TLS-001"]


# ---------------------------------------------------------------------------- targets that are not relays


def _http(sock: socket.socket) -> None:
    sock.recv(10_000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "words"),
    [(_http, "doesn't speak TLS"), (lambda sock: None, "no TLS behind it")],
    ids=["http", "closes"],
)
def test_target_without_tls(script: Script, words: str, profile_of: Any, make_target: MakeTarget) -> None:  # noqa: ANN401 - the fixture's own
    with serving(tolerant(script)) as address:
        target = make_target(profile_of(address))
        with pytest.raises(NoTarget, match=words):
            examine(target)
    assert target.log.findings == []


def test_untrusted_certificate(relay: Callable[..., Any], make_target: MakeTarget, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with relay(conforming) as profile:
        target = make_target(replace(profile, tls=TlsSettings(ca=tmp_path / "other.pem")))
        with pytest.raises(NoTarget, match=r"is not accepted.*No token was sent.*tls\.ca"):
            examine(target)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unusable_ca_file_is_named(
    content: str | None, tmp_path: Path, relay: Callable[..., Any], make_target: MakeTarget
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with relay(conforming) as profile, pytest.raises(NoTarget, match=r"^tls: "):
        examine(make_target(replace(profile, tls=TlsSettings(ca=file))))


def test_missing_websocket(relay: Callable[..., Any], make_target: MakeTarget) -> None:
    with relay(lambda request: [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]) as profile:
        asked = replace(profile, target=replace(profile.target, transport="websocket"))
        target = make_target(asked)
        with pytest.raises(NoTarget, match=r"opens no WebSocket at /: .*target\.transport"):
            examine(target)
        target.close()


# ---------------------------------------------------------------------------- waiting


def test_refused_connection_names_the_remedy(simulated: Profile, make_target: MakeTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Endpoint("127.0.0.1", listener.getsockname()[1])
    target = make_target(replace(simulated, target=replace(simulated.target, address=address)))
    with pytest.raises(NoTarget, match="--wait SECONDS"):
        wait_for(target, 0.0)
    with pytest.raises(NoTarget, match=r"waited 0\.2 s"):
        wait_for(target, 0.2)


def test_wait_ends_when_the_relay_accepts(simulated: Profile, make_target: MakeTarget) -> None:
    wait_for(make_target(simulated), 0.0)
