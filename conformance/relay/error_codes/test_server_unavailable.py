"""Source: Error Codes / server_unavailable."""

from __future__ import annotations

from collections.abc import Iterator

from cbspec.profile import Condition, Endpoint
from conformance import judge
from conformance.errors import Broken, Inconclusive, NotExercised
from conformance.exchange import Exchange
from conformance.marks import alone, requirement
from conformance.provoke import provoked, until
from conformance.target import Target
from conformance.wire import HandshakeFailure, Unreachable


@alone
@requirement("CB-UNA-001")
def test_unavailable_relay_does_not_serve(relay: Target) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel: no tunnel is opened."""
    relay.open_tunnel(relay.authenticated())
    with provoked(relay.profile, "unavailable") as (condition, at):
        until(condition, lambda: _not_served(relay, at), (Broken,))


@alone
@requirement("CB-UNA-002")
def test_code_if_any(relay: Target) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel; if an error is sent, its code is read."""
    with provoked(relay.profile, "unavailable") as (condition, at):
        _settle(relay, condition, at)
        for exchange in _steps(relay, at):
            code = judge.error_code(exchange)
            if code and code != "server_unavailable":
                raise Broken("server_unavailable, if any code", f"an error with code {code!r}", exchange)


@alone
@requirement("CB-UNA-003")
def test_code_is_sent(relay: Target) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel; it is told server_unavailable."""
    with provoked(relay.profile, "unavailable") as (condition, at):
        _settle(relay, condition, at)
        exchanges = list(_steps(relay, at))
        if not any(judge.error_code(exchange) == "server_unavailable" for exchange in exchanges):
            seen = "; ".join(_seen(exchange) for exchange in exchanges) or "no TLS connection"
            raise Broken("an error with code server_unavailable", seen, *exchanges)


@alone
@requirement("CB-UNA-004")
def test_serves_again(relay: Target) -> None:
    """After what made the relay unavailable is taken away, a client gets its tunnel within a few seconds."""
    condition = relay.profile.conditions.get("unavailable")
    if condition is None or (condition.target is None and condition.begin is None):
        raise NotExercised("give conditions.unavailable: a target where it holds, or begin and end")
    if condition.target is not None or condition.end is None:
        raise NotExercised("give conditions.unavailable.begin and end, instead of a target where it always holds")
    with provoked(relay.profile, "unavailable"):
        _settle(relay, condition, None)
    until(condition, lambda: _served(relay), (Broken,))


def _settle(relay: Target, condition: Condition, at: Endpoint | None) -> None:
    """Wait until the condition shows; whether it does at all is CB-UNA-001's to say."""
    try:
        until(condition, lambda: _not_served(relay, at), (Broken,))
    except Broken:
        raise Inconclusive("the relay serves in spite of conditions.unavailable (see CB-UNA-001)") from None


def _not_served(relay: Target, at: Endpoint | None) -> None:
    for exchange in _steps(relay, at):
        if exchange.request is not None and exchange.request.type == "tunnel_info":
            judge.not_accepted(exchange, "no tunnel while the relay is unavailable")


def _served(relay: Target) -> None:
    exchanges = list(_steps(relay, None))
    if not exchanges:
        raise Broken("a relay that serves again", "no TLS connection")
    judge.accepted(exchanges[-1], "server_unavailable")


def _steps(relay: Target, at: Endpoint | None) -> Iterator[Exchange]:
    try:
        session = relay.connect(at=at)
    except (Unreachable, HandshakeFailure, Inconclusive):
        return
    yield session.hello()
    if not session.ended:
        yield relay.authenticate(session, relay.tenant)
    if not session.ended:
        yield session.ask(relay.tunnel_info(relay.tenant.id))


def _seen(exchange: Exchange) -> str:
    return judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)
