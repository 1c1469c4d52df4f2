"""The checks before any case: whether there is a relay, and which exchanges work on it.

An unreachable target, a port without TLS or an untrusted certificate ends the run with one message (`NoTarget`). A
relay that answers wrongly gets findings, and the cases that need the broken exchange give it as their reason.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cbspec.protocol.tls import TlsLayer
from cbspec.tls_contexts import legacy_client_context
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.awaited import ANY_REFUSAL
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import DIALLER, Unreachable, tcp_connect
from cbspec_conformance.probe.tempo import Latency, Tempo, retry
from cbspec_conformance.probe.tls_client import not_offered
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure, open_wire
from cbspec_conformance.record.conclusions import Breach, Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.target.capacity import rooms, tenants_limits
from cbspec_conformance.target.clock import fitting_shift
from cbspec_conformance.target.connector import CLOSED, NO_ANSWER, WebSocketRefused, context_for
from cbspec_conformance.target.facts import ODD_LETTERS, Facts
from cbspec_conformance.target.relay import RelayUnderTest

_REFUSED_OFFERS = ("handshake_failure", "insufficient_security")  # alerts; the client may have offered too little
_SENT = "a hello as one line of JSON ending in a line feed"
_NOTICED = 0.5  # seconds in which a relay notices the end of a connection
_REJECTED = ("invalid_token", "tenant_not_found", "ip_not_allowed")
_RATE_LIMITED = "the relay answered rate_limit_exceeded to the first requests; declare tenants.rate or wait a while"


class NoTarget(Exception):
    """There is no relay to judge; the text gives the reason and the remedy."""


def wait_for(target: RelayUnderTest, seconds: float) -> None:
    """Wait at most `seconds` until the target's address accepts connections. Raises NoTarget."""
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
    """Return the exchanges that work on the relay; breaches are in `target.log.findings`. Raises NoTarget."""
    began = target.clock.monotonic()
    broken = _tls(target)
    latency = Latency(handshake=target.clock.monotonic() - began)
    facts = Facts(tls=broken, latency=latency, address=DIALLER.chosen(target.endpoint.host, target.endpoint.port))
    target.tempo = Tempo.of(target.profile.target, facts.latency)
    if facts.tls:
        return _broken(facts, facts.tls, hello=facts.tls)
    try:
        facts = _transport(target, facts)
    except RateLimited:
        return _broken(facts, _RATE_LIMITED, hello=_RATE_LIMITED)
    except (Unreachable, HandshakeFailure) as error:
        reason = f"the relay accepts no second connection: {error}"
        return _broken(facts, reason, hello=reason)
    facts = replace(facts, clock=target.connector.clock)
    target.shared.issuer.clock = facts.clock
    target.learn(facts)
    if facts.hello:
        return _broken(facts, facts.hello)
    try:
        return _exchanges(target, facts)
    except RateLimited:
        return _broken(facts, _RATE_LIMITED)


def _broken(facts: Facts, reason: str, **others: Any) -> Facts:  # noqa: ANN401 - Facts' own members
    """Return the facts about a relay on which nothing after hello works."""
    return replace(facts, auth=reason, tunnel=reason, heartbeat=reason, **others)


def _tls(target: RelayUnderTest) -> str:
    """Return "" if a TLS 1.3 handshake works, else the reason, after adding a finding. Raises NoTarget."""
    where = target.endpoint
    try:
        _first_connection(target).close()
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
                f"{target.profile.tls.ca}). No token was sent. Give --ca FILE, or in a profile tls.ca or "
                f"target.server_name; tls.verify = false accepts any certificate"
            ) from None
        if (missing := _missing(target)) and failure.alert in _REFUSED_OFFERS:
            raise NoTarget(
                f"nothing to judge: {where} refused the TLS handshake (alert {failure.alert}), but this machine's "
                f"OpenSSL configuration offers less than every TLS 1.3 client must: {', '.join(missing)} missing. Set "
                "OPENSSL_CONF to another file"
            ) from None
        spoken = _spoken(target, failure)
        if spoken is None:
            answer = f"doesn't speak TLS: it answered the handshake with {quoted(failure.received[:40])}"
            silence = f"accepts connections, but does not speak TLS: {failure.reason}"
            raise NoTarget(f"{where} {answer if failure.received else silence}") from None
        reason = f"no TLS 1.3 connection{spoken}: {failure.reason}"
        reason += f" (alert {failure.alert})" if failure.alert else ""
        target.log.breach(Breach("CB-TLS-001", "a TLS 1.3 handshake that works", reason))
        return reason
    return ""


def _first_connection(target: RelayUnderTest) -> ProbeSession:
    """Return a connection with TLS; the relay may still count the one that looked for it, and close any other."""
    try:
        return target.connect(transport="tcp")
    except HandshakeFailure as failure:
        if failure.received or failure.timed_out:
            raise
        target.clock.sleep(_NOTICED)
        return target.connect(transport="tcp")


def _missing(target: RelayUnderTest) -> list[str]:
    """Return the mandatory algorithms of TLS 1.3 that this machine's OpenSSL does not offer."""
    return not_offered(TlsLayer(context_for(target.profile.tls), server_side=False, server_name="x").data_to_send())


def _spoken(target: RelayUnderTest, failure: HandshakeFailure) -> str | None:
    """Return a remark on the relay's version of TLS if it is known, or None if the relay doesn't speak TLS."""
    # A record that holds a ServerHello, not an echo of our own ClientHello.
    speaks = failure.alert or (failure.received[:1] == b"\x16" and failure.received[5:6] == b"\x02")
    if failure.received and not speaks:
        return None
    context = legacy_client_context(ssl.TLSVersion.TLSv1_2)
    timeout, connector = target.profile.target.timeout, target.connector
    name, source = connector.server_name, connector.source
    try:
        open_wire(0, target.transcript, target.endpoint, context, timeout=timeout, name=name, source=source).close()
    except (Unreachable, HandshakeFailure):
        return "" if speaks else None
    return ", the relay speaks TLS 1.2 only"


def _transport(target: RelayUnderTest, facts: Facts) -> Facts:
    """Return the facts with the relay's transport and its hello. Raises NoTarget."""
    wanted = target.profile.target.transport
    websocket, refused = (False, "not tried") if wanted == "tcp" else _opens_websocket(target)
    plain = None if wanted == "websocket" else _hello(target, "tcp")
    silent = plain is not None and not plain.answers and plain.silence is Silence.UNRESPONSIVE
    if silent and not websocket and (wanted == "tcp" or refused in (NO_ANSWER, CLOSED)):
        also = "" if wanted == "tcp" else ", and a WebSocket's opening handshake on another connection"
        raise NoTarget(
            f"{target.endpoint} completes the TLS handshake. Then the suite sent {_SENT}{also}; nothing came back "
            f"within {target.profile.target.timeout:g} s. The relay frames messages differently (with a length prefix, "
            "say), hangs, or is no CloudBridge relay"
        )
    if plain is not None and (not websocket or any(answer.type == "hello_response" for answer in plain.answers)):
        if wanted == "auto" and any(answer.text.startswith(b"HTTP/") for answer in plain.answers):
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
    """Whether an opening handshake is answered with 101, even in an invalid response; else the reason."""
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
    exchange = target.log.observe(exchange)
    try:
        answer = judge.accepted(exchange)
    except Inconclusive as error:
        return replace(facts, hello=str(error))
    except Broken as broken:
        sent = f" (to {_SENT})" if facts.transport == "tcp" and not exchange.answers else ""
        breach = Breach("CB-HEL-001", broken.expected, broken.seen + sent)
        target.log.breach(breach, exchange, expectation=broken.expectation)
        return replace(facts, hello=f"expected {broken.expected}; seen: {breach.seen}")
    facts = replace(facts, latency=replace(facts.latency, hello=exchange.waited))
    features = answer.member("features")
    listed = features if isinstance(features, list) else []
    return replace(facts, features=tuple(feature for feature in listed if isinstance(feature, str)))


def _exchanges(target: RelayUnderTest, facts: Facts) -> Facts:
    """Try one exchange of each type after hello."""
    try:
        session = target.greeted()
        exchange = target.authenticate(session, target.tenant)
    except (Inconclusive, NotExercised) as error:
        return _broken(facts, str(error))
    if _is_token_rejected(exchange):
        session, exchange, facts = _at_other_times(target, facts, session, exchange)
    if reason := _reason(exchange):
        code = judge.error_code(exchange)
        if rejected := code in _REJECTED:
            reason = f"the suite's tokens are not accepted ({code}); check tokens and tenants in the profile"
        return _broken(facts, reason, rejected=rejected)
    beats = [session.heartbeat() for _ in range(3)]
    heartbeat = next(filter(None, map(_reason, beats)), "")
    if not heartbeat:
        waits = [beat.waited for beat in beats]
        facts = replace(facts, latency=replace(facts.latency, heartbeat=max(waits), fastest=min(waits)))
        # The next request finds a second answer to the last heartbeat.
        session.brief = target.tempo.patience
        with contextlib.suppress(RateLimited):  # a relay may use the code for unknown types (see CB-UNK-001)
            session.ask({"type": "cbspec_after_heartbeats"}, invalid="of unknown type", fence=False)
    if heartbeat or any(finding.requirement == "CB-MSG-004" for finding in target.log.findings):
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
    session.close()
    target.learn(replace(facts, heartbeat=heartbeat, tunnel=tunnel, odd_identifiers=takes_odd))
    return target.facts


def with_silence(target: RelayUnderTest, facts: Facts) -> Facts:
    """Add the kinds of answers that were awaited in vain.

    If the relay sent no error yet, requests that it must refuse are tried: hundreds of cases send them.
    """
    mute, received = False, [record for record in target.transcript.records if isinstance(record, Message)]
    if not facts.tls and not facts.hello and all(message.type != "error" for message in received):
        drawn = {*at_once([partial(_drawn, target, *each) for each in _MUST_BE_REFUSED])}
        mute = "silence" in drawn and "refusal" not in drawn
    return replace(facts, unanswered=(*sorted(target.waited_long_for), *[ANY_REFUSAL] * mute))


_Refused = Callable[[RelayUnderTest, ProbeSession], Exchange]
_MUST_BE_REFUSED: Final[Sequence[tuple[bool, _Refused]]] = (
    *[
        (authenticated, ask)
        for authenticated in (False, True)
        for ask in (
            lambda target, session: session.ask({"type": "cbspec_unknown"}, invalid="of unknown type"),
            lambda target, session: session.ask_text(b"no message", meant="plain words"),
            lambda target, session: session.ask(target.tunnel_info(remote_port=0), invalid="remote_port is 0"),
            lambda target, session: session.ask_text(b'{"type":"heartbeat",}', meant="not JSON", like="heartbeat"),
        )
    ],
    (False, lambda target, session: session.ask({"type": "auth", "token": target.tokens.spoiled(target.tenant)})),
    (False, lambda target, session: session.ask({"type": "hello"}, invalid="version is missing")),
    (False, lambda target, session: session.ask(target.tunnel_info())),
    (False, lambda target, session: session.heartbeat()),
)
"""Requests that no relay serves, and whether each is sent after auth."""


def _drawn(target: RelayUnderTest, authenticated: bool, ask: _Refused) -> str:
    """Return what a request draws; "" if it is served, or can't be sent."""
    try:
        with contextlib.closing(target.authenticated() if authenticated else target.greeted()) as session:
            exchange = ask(target, session)
    except RateLimited:
        return "refusal"
    except (Broken, Inconclusive, NotExercised, Unreachable, HandshakeFailure):
        return ""
    refused = exchange.ended is not None or any(answer.type == "error" for answer in exchange.answers)
    return "refusal" if refused else "" if exchange.answers else "silence"


def with_short_cuts(target: RelayUnderTest, facts: Facts) -> Facts:
    """Add whether the relay takes hello and auth in one flight, and tunnel_infos, and resumes TLS sessions."""
    if facts.auth or facts.tunnel or facts.heartbeat:
        return facts
    tenant = target.tenant
    try:
        session = target.entered(tenant, target.tokens.valid(tenant), ticket=tenant.id)
        if session is None:
            return facts
        requests = [target.tunnel_info() for _ in range(target.room.tunnels(2))]
        named = [answer.member("tunnel_id") for answer in session.ask_together(requests).answers]
        session.close()
        resumed = target.entered(tenant, target.tokens.valid(tenant), ticket=tenant.id)
    except (NotExercised, Inconclusive, RateLimited, Unreachable, HandshakeFailure):
        return facts
    if resumed is not None:
        resumed.close()
    resumes = resumed is not None and bool(resumed.wire.tls.ssl_object.session_reused)
    return replace(facts, pipelines=named == [each["tunnel_id"] for each in requests], resumes=resumes)


def with_room(target: RelayUnderTest, facts: Facts) -> Facts:
    """Add the room of every tenant's limit: less than declared if an earlier run left something behind."""
    if facts.auth or facts.tunnel or facts.heartbeat or Tempo.of(target.profile.target, facts.latency).slow:
        return facts
    target.close()
    found = rooms(target, tenants_limits(target, each=True))
    target.close()
    return replace(facts, room=found)


def _is_token_rejected(exchange: Exchange) -> bool:
    return judge.error_code(exchange) == "invalid_token"


def _at_other_times(
    target: RelayUnderTest, facts: Facts, session: ProbeSession, exchange: Exchange
) -> tuple[ProbeSession, Exchange, Facts]:
    """Try tokens of other times, since the relay's clock may differ; return the given ones if none is accepted."""
    if target.tokens.key is None:
        return session, exchange, facts
    tried = session, exchange

    def accepted(shift: float) -> bool:
        nonlocal tried
        tried[0].close()
        target.shared.issuer.shift = shift
        session = target.greeted()
        tried = session, target.authenticate(session, target.tenant)
        return not _reason(tried[1])

    shift = fitting_shift(facts.clock, accepted)
    target.shared.issuer.shift = shift or 0.0
    if shift is None:
        return *tried, facts
    facts = replace(facts, shift=shift, clock=facts.clock or shift)
    target.learn(facts)
    return *tried, facts


def _reason(exchange: Exchange) -> str:
    try:
        judge.accepted(exchange)
    except Broken as broken:
        return f"expected {broken.expected}; seen: {broken.seen}"
    except Inconclusive as error:
        return str(error)
    return ""
