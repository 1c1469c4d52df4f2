"""Before any case: is there a relay, and what works on it at all.

A dead target, a port that isn't TLS, a certificate that the CA doesn't vouch for is one message (`NoTarget`). A relay
that speaks, but wrongly, is no such thing: it gets findings, and the cases that need what doesn't work say so.
"""

from __future__ import annotations

import ssl
from dataclasses import replace

from cbspec.tls_contexts import legacy_client_context
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.tempo import Latency, retry
from cbspec_conformance.probe.wire import HandshakeFailure, Wire
from cbspec_conformance.record.conclusions import Breach, Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.target.connector import CLOSED, NO_ANSWER, WebSocketRefused
from cbspec_conformance.target.facts import ODD_LETTERS, Facts
from cbspec_conformance.target.relay import RelayUnderTest

_CONFIGURATION = ("invalid_token", "tenant_not_found", "ip_not_allowed")


_RATE_LIMITED = "the relay answered rate_limit_exceeded to the first requests; declare tenants.rate or wait a while"


class NoTarget(Exception):
    """There is no relay to judge; the text says why, and what to do."""


def wait_for(target: RelayUnderTest, seconds: float) -> None:
    """Wait until something accepts connections at the target's address, at most `seconds`. Raises NoTarget."""
    try:
        retry(
            lambda: tcp_connect(target.endpoint, target.connector.source, target.profile.target.timeout).close(),
            (Unreachable,),
            seconds,
            target.clock,
        )
    except Unreachable as error:
        waited = f" (waited {seconds:g} s)" if seconds else "; --wait SECONDS waits for it"
        raise NoTarget(f"nothing to judge: no connection to {error}{waited}") from None


def examine(target: RelayUnderTest) -> Facts:
    """Find out what works on the relay. What is broken is in `target.log.findings`. Raises NoTarget."""
    began = target.clock.monotonic()
    facts = Facts(tls=_tls(target), latency=Latency(handshake=target.clock.monotonic() - began))
    target.calibrate(facts.latency)
    if facts.tls:
        return replace(facts, hello=facts.tls, auth=facts.tls, tunnel=facts.tls, heartbeat=facts.tls)
    try:
        facts = _transport(target, facts)
    except RateLimited:
        return replace(facts, hello=_RATE_LIMITED, auth=_RATE_LIMITED, tunnel=_RATE_LIMITED, heartbeat=_RATE_LIMITED)
    except (Unreachable, HandshakeFailure) as error:
        reason = f"the relay takes no second connection: {error}"
        return replace(facts, hello=reason, auth=reason, tunnel=reason, heartbeat=reason)
    target.learn(facts)
    if facts.hello:
        return replace(facts, auth=facts.hello, tunnel=facts.hello, heartbeat=facts.hello)
    try:
        return _exchanges(target, facts)
    except RateLimited:
        return replace(facts, auth=_RATE_LIMITED, tunnel=_RATE_LIMITED, heartbeat=_RATE_LIMITED)


def _tls(target: RelayUnderTest) -> str:
    """Return "" where a TLS 1.3 handshake works, else why not; a finding is made then. Raises NoTarget."""
    where = target.endpoint
    try:
        target.connect(transport="tcp").close()
    except Unreachable as error:
        raise NoTarget(f"nothing to judge: no connection to {error}") from None
    except ssl.SSLError as error:
        raise NoTarget(f"tls: a certificate or key of the profile can't be used: {error.reason or error}") from None
    except OSError as error:
        raise NoTarget(f"tls: {error.filename or 'a file of the profile'}: {error.strerror or error}") from None
    except HandshakeFailure as failure:
        if failure.unverified:
            raise NoTarget(
                f"the certificate of {where} is not accepted: {failure.reason} (as {target.connector.server_name}, CA: "
                f"{target.profile.tls.ca}). No token was sent. Give tls.ca or target.server_name in a profile, or set "
                f"tls.verify = false"
            ) from None
        if not _speaks_tls(target, failure):
            raise NoTarget(_not_tls(target, failure)) from None
        reason = f"no TLS 1.3 connection: {failure.reason}{f' (alert {failure.alert})' if failure.alert else ''}"
        target.log.breach(Breach("CB-TLS-001", "a TLS 1.3 handshake that works", reason))
        return reason
    return ""


def _speaks_tls(target: RelayUnderTest, failure: HandshakeFailure) -> bool:
    # A record that holds a ServerHello; an echo of our own ClientHello is none.
    if failure.alert or (failure.received[:1] == b"\x16" and failure.received[5:6] == b"\x02"):
        return True
    if failure.received:
        return False
    wire = Wire(0, target.transcript, target.profile.target.timeout)
    context = legacy_client_context(ssl.TLSVersion.TLSv1_2)
    try:
        wire.open(
            target.endpoint, context, name=target.connector.server_name, source=target.connector.source, transport="tcp"
        )
    except (Unreachable, HandshakeFailure):
        return False
    wire.close()
    return True


def _not_tls(target: RelayUnderTest, failure: HandshakeFailure) -> str:
    where = target.endpoint
    if failure.received:
        return f"{where} doesn't speak TLS: it answered the handshake with {failure.received[:40]!r}"
    return f"{where} accepts connections, but there is no TLS behind it: {failure.reason}"


def _transport(target: RelayUnderTest, facts: Facts) -> Facts:
    """Find out which transport the relay speaks and whether hello works on it. Raises NoTarget."""
    wanted = target.profile.target.transport
    websocket, refused = (False, "not tried") if wanted == "tcp" else _opens_websocket(target)
    plain = None if wanted == "websocket" else _hello(target, "tcp")
    if (
        not websocket
        and plain is not None
        and _is_silent(plain)
        and (wanted == "tcp" or refused in (NO_ANSWER, CLOSED))
    ):
        raise NoTarget(_silent(target, wanted))
    if plain is not None and (not websocket or _is_hello_response(plain)):
        if wanted == "auto" and _is_http(plain):
            raise NoTarget(
                f"{target.endpoint} speaks HTTP, but no WebSocket was opened at {target.profile.target.websocket_path}"
                f" ({refused}): give target.websocket_path, or this is not a CloudBridge relay"
            )
        return _greeted(target, replace(facts, transport="tcp", websocket=websocket), plain)
    if not websocket:
        raise NoTarget(
            f"{target.endpoint} opens no WebSocket at {target.profile.target.websocket_path}: {refused}; give "
            'target.websocket_path, or target.transport = "tcp"'
        )
    facts = replace(facts, transport="websocket", websocket=True)
    try:
        spoken = _hello(target, "websocket")
    except WebSocketRefused as error:
        return replace(facts, hello=str(error))
    return _greeted(target, facts, spoken)


def _opens_websocket(target: RelayUnderTest) -> tuple[bool, str]:
    """Whether an opening handshake is answered with 101, also one that is wrong; else why not."""
    try:
        target.connect(transport="websocket").close()
    except WebSocketRefused as refused:
        return refused.status == 101, refused.reason
    except (Unreachable, HandshakeFailure) as error:
        return False, str(error)
    return True, ""


def _hello(target: RelayUnderTest, transport: str) -> Exchange:
    session = target.connect(transport=transport, judged=False)  # the relay may use the other transport
    exchange = session.hello()
    session.close()
    return exchange


def _greeted(target: RelayUnderTest, facts: Facts, exchange: Exchange) -> Facts:
    if exchange.ended is not None and "certificate required" in exchange.ended.detail:
        raise NoTarget(f"{target.endpoint} asks for a client's certificate: give tls.client_certificate in the profile")
    target.log.observe(exchange)
    try:
        answer = judge.accepted(exchange)
    except Inconclusive as error:
        return replace(facts, hello=str(error))
    except Broken as broken:
        target.log.breach(Breach("CB-HEL-001", broken.expected, broken.seen), exchange, expectation=broken.expectation)
        return replace(facts, hello=f"expected {broken.expected}; seen: {broken.seen}")
    facts = replace(facts, latency=replace(facts.latency, hello=exchange.waited))
    features = answer.member("features")
    listed = features if isinstance(features, list) else []
    return replace(facts, features=tuple(feature for feature in listed if isinstance(feature, str)))


def _silent(target: RelayUnderTest, wanted: str) -> str:
    tried = "not even a hello" if wanted == "tcp" else "neither a hello nor a WebSocket's opening handshake"
    return (
        f"{target.endpoint} completes the TLS handshake, but answers nothing within "
        f"{target.profile.target.timeout:g} s, {tried}: this is no CloudBridge relay, or one that hangs"
    )


def _is_silent(exchange: Exchange) -> bool:
    return exchange.silence is Silence.UNRESPONSIVE and not exchange.answers


def _is_hello_response(exchange: Exchange) -> bool:
    return any(answer.type == "hello_response" for answer in exchange.answers)


def _is_http(exchange: Exchange) -> bool:
    return any(answer.text.startswith(b"HTTP/") for answer in exchange.answers)


def _exchanges(target: RelayUnderTest, facts: Facts) -> Facts:
    """Try one of each exchange after hello."""
    try:
        session = target.greeted()
        exchange = target.authenticate(session, target.tenant)
    except (Inconclusive, NotExercised) as error:
        return replace(facts, auth=str(error), tunnel=str(error), heartbeat=str(error))
    if reason := _reason(exchange):
        code = judge.error_code(exchange)
        if rejected := code in _CONFIGURATION:
            reason = f"the suite's tokens are not accepted ({code}); check tokens and tenants in the profile"
        return replace(facts, auth=reason, rejected=rejected, tunnel=reason, heartbeat=reason)
    beats = [session.heartbeat() for _ in range(3)]
    heartbeat = next(filter(None, map(_reason, beats)), "")
    if not heartbeat:
        waits = [beat.waited for beat in beats]
        facts = replace(facts, latency=replace(facts.latency, heartbeat=max(waits), fastest=min(waits)))
    if heartbeat or _answers_twice(session, target):
        facts = replace(facts, fence="unknown")
        target.learn(facts)
    session.close()
    try:
        session = target.authenticated()
    except Inconclusive as error:
        return replace(facts, heartbeat=heartbeat, tunnel=str(error))
    tunnel = _reason(session.ask(target.tunnel_info()))
    odd = target.tunnel_info()["tunnel_id"] + ODD_LETTERS
    takes_odd = not tunnel and not _reason(session.ask(target.tunnel_info(tunnel_id=odd), fence=False))
    return replace(facts, heartbeat=heartbeat, tunnel=tunnel, odd_identifiers=takes_odd)


def _answers_twice(session: ProbeSession, target: RelayUnderTest) -> bool:
    """Whether heartbeats drew more than one answer: the last one's second shows beside the next request's."""
    session.ask({"type": "cbspec_behind_heartbeats"}, invalid="of unknown type", fence=False)
    return any(finding.requirement == "CB-MSG-004" for finding in target.log.findings)


def _reason(exchange: Exchange) -> str:
    try:
        judge.accepted(exchange)
    except Broken as broken:
        return f"expected {broken.expected}; seen: {broken.seen}"
    except Inconclusive as error:
        return str(error)
    return ""
