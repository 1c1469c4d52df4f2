"""The preflight: targets that are no relay, and relays that answer wrongly."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cbspec.profile.profile import IssuerSettings, Profile, TargetSettings, Tenant, TlsSettings
from cbspec.tokens.jws import claims_of
from cbspec_conformance.probe.awaited import ANY_REFUSAL
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.connector import context_for
from cbspec_conformance.target.preflight import NoTarget, examine, with_silence
from tests.conformance.build import HELLO_RESPONSE, SUCCESSES, error
from tests.conformance.conftest import MakeTarget
from tests.conformance.memory import answer, line
from tests.support.relay import Script, answering, over_tls, read_to_end, server, serving, tolerant

Answers = Callable[[dict[str, Any]], Iterable[bytes]]


StartRelay = Callable[[Script], contextlib.AbstractContextManager[Profile]]


@pytest.fixture
def relay(certificates: Path) -> StartRelay:
    """Give a function that runs a scripted relay; its context is the profile."""

    @contextlib.contextmanager
    def start(script: Script) -> Iterator[Profile]:
        with serving(tolerant(script)) as address:
            yield Profile(
                target=TargetSettings(address=address, timeout=2.0, transport="tcp"),
                tls=TlsSettings(ca=certificates / "our-ca.pem"),
                tokens=IssuerSettings(secret="a-secret-that-is-long-enough-for-hs256"),
                tenants=(Tenant("tenant-001"),),
            )

    return start


def talking(certificates: Path, answers: Answers) -> Script:
    return over_tls(server(certificates / "our-server.pem"), answering(answers))


def conforming(request: dict[str, Any]) -> list[bytes]:
    return [answer(request)]


def instead(kind: str, *answers: object) -> Answers:
    """Return a relay that answers one type of request otherwise."""

    def relay(request: dict[str, Any]) -> list[bytes]:
        if request.get("type") != kind:
            return [answer(request)]
        return [line(each) for each in answers]

    return relay


# ---------------------------------------------------------------------------- relays


# A relay that answers one type of request otherwise; the facts that are broken then, and the blamed requirements.
WRONG: dict[str, tuple[Answers, set[str], set[str]]] = {
    "nothing wrong": (conforming, set(), set()),
    "hello refused": (instead("hello", error()), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-HEL-001"}),
    "hello unanswered": (instead("hello"), {"hello", "auth", "tunnel", "heartbeat"}, {"CB-HEL-001"}),
    "features an object": (instead("hello", {**HELLO_RESPONSE, "features": {"tls": True}}), set(), {"CB-HEL-003"}),
    "auth refused": (instead("auth", error("invalid_token")), {"auth", "tunnel", "heartbeat"}, set()),
    "auth rate limited": (instead("auth", error("rate_limit_exceeded")), {"auth", "tunnel", "heartbeat"}, set()),
    "tunnel refused": (instead("tunnel_info", error()), {"tunnel"}, set()),
    "heartbeat refused": (instead("heartbeat", error("unknown_message_type")), {"heartbeat"}, set()),
}


@pytest.mark.parametrize("kind", WRONG)
def test_broken_exchanges_are_facts_and_breaches_are_findings(
    kind: str, certificates: Path, relay: StartRelay, make_target: MakeTarget
) -> None:
    answers, broken, blamed = WRONG[kind]
    with relay(talking(certificates, answers)) as profile:
        target = make_target(profile)
        held: list[int] = []
        connect = target.connect

        def counting(**options: Any) -> ProbeSession:  # noqa: ANN401 - connect's own
            held.append(sum(session.ended is None for session in target.room.open_sessions))
            return connect(**options)

        target.connect = counting  # type: ignore[method-assign]
        facts = examine(target)
        target.close()
    assert set(held) == {0}
    assert {name for name in ("tls", "hello", "auth", "tunnel", "heartbeat") if getattr(facts, name)} == broken
    assert {finding.requirement for finding in target.log.findings} == blamed
    assert facts.rejected == (kind == "auth refused")


def test_a_relay_that_sends_no_errors_is_known_for_all_that_it_leaves_unanswered(
    certificates: Path, relay: StartRelay, make_target: MakeTarget
) -> None:
    def silent(request: dict[str, Any]) -> list[bytes]:
        return [answer(request)] if request.get("type") in SUCCESSES else []

    with relay(talking(certificates, silent)) as profile:
        target = make_target(replace(profile, target=replace(profile.target, timeout=1.0)))
        unanswered = with_silence(target, examine(target)).unanswered
        target.close()
    assert {
        "a refusal of an unknown type after two fences",
        "an answer to an unknown type or to the fence after it",
        ANY_REFUSAL,
    } <= {*unanswered}


def test_tls_1_2_alone_is_a_finding(certificates: Path, relay: StartRelay, make_target: MakeTarget) -> None:
    context = server(certificates / "our-server.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with relay(over_tls(context, read_to_end)) as profile:
        target = make_target(profile)
        facts = examine(target)
        target.close()
    assert facts.tls
    assert facts.hello
    assert [finding.requirement for finding in target.log.findings] == ["CB-TLS-001"]


# ---------------------------------------------------------------------------- no relays


def test_a_relay_may_still_count_the_connection_that_looked_for_it(
    certificates: Path, relay: StartRelay, make_target: MakeTarget
) -> None:
    counted = iter([True])

    def script(sock: socket.socket) -> None:
        if not next(counted, False):  # the first connection is closed at once
            talking(certificates, conforming)(sock)

    with relay(script) as profile:
        target = make_target(profile)
        assert not examine(target).tls
    assert not target.log.findings


def test_a_local_tls_library_that_offers_too_little_is_not_the_relays_fault(
    certificates: Path, relay: StartRelay, make_target: MakeTarget
) -> None:
    context = server(certificates / "our-server.pem")
    context.set_ecdh_curve("prime256v1")
    with relay(over_tls(context, read_to_end)) as profile:
        target = make_target(profile)
        context_for(profile.tls).set_ecdh_curve("secp521r1")
        try:
            with pytest.raises(NoTarget, match=r"OpenSSL configuration.*secp256r1 missing"):
                examine(target)
        finally:
            context_for.cache_clear()
        target.close()
    assert target.log.findings == []


def http(sock: socket.socket) -> None:
    sock.recv(10_000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "changes", "words"),
    [
        (http, {}, "doesn't speak TLS"),
        (lambda sock: None, {}, "accepts connections, but does not speak TLS"),
        (None, {"tls": "their-ca.pem"}, r"is not accepted.*No token was sent.*tls\.ca"),
        (None, {"tls": "absent.pem"}, r"^tls: "),
        (None, {"tls": "empty.pem"}, r"^tls: "),
        (None, {"transport": "websocket"}, r"opens no WebSocket at /: .*target\.transport"),
    ],
    ids=["http", "closes", "other-ca", "no-ca", "empty-ca", "no-websocket"],
)
def test_a_target_that_cannot_be_judged(
    script: Script | None,
    changes: dict[str, str],
    words: str,
    certificates: Path,
    relay: StartRelay,
    make_target: MakeTarget,
) -> None:
    (certificates / "empty.pem").write_text("no certificate")
    not_found = talking(certificates, lambda request: [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])
    with relay(script or not_found) as profile:
        if "tls" in changes:
            profile = replace(profile, tls=TlsSettings(ca=certificates / changes["tls"]))
        else:
            profile = replace(profile, target=replace(profile.target, **changes))  # type: ignore[arg-type]
        target = make_target(profile)
        with pytest.raises(NoTarget, match=words):
            examine(target)
        target.close()
    assert target.log.findings == []


def test_tokens_of_other_times_are_tried_if_the_relay_rejects_those_of_now(
    relay: StartRelay, certificates: Path, make_target: MakeTarget
) -> None:
    def slow(request: dict[str, Any]) -> list[bytes]:
        issued = claims_of(request["token"])["iat"] if request.get("type") == "auth" else 0
        late = isinstance(issued, int | float) and issued > time.time() - 500
        return [line(error("invalid_token")) if late else answer(request)]

    with relay(talking(certificates, slow)) as profile:
        target = make_target(profile)
        facts = examine(target)
    assert (facts.shift, facts.clock, facts.auth) == (-600.0, -600.0, "")
    assert target.tokens.now() == pytest.approx(time.time() - 600, abs=60)
