"""Arrangements for the cases about refusals: attempt to be served, and judge the refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from cbspec.profile.profile import Endpoint, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import CLOSED, OPEN, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.limits import fillable
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest

_NOT_NOW = (429, 503)
"""HTTP statuses of a server that could serve the request at another time."""

_NO_CONNECTION = "no connection, or none with TLS"


@contextlib.contextmanager
def limited(relay: RelayUnderTest, condition: str, declared: int | None) -> Iterator[tuple[Endpoint | None, int]]:
    """Yield the address at which the relay's own limit can be filled (None: the target's), and the limit."""
    if condition not in relay.profile.conditions and declared is not None and relay.profile.target.exclusive:
        yield None, fillable(declared, f"relay.{condition}")
        return
    with relay.provoked(condition) as (found, at):
        if found.limit is None:
            raise NotExercised(f"give conditions.{condition}.limit")
        yield at, found.limit


def attempt(
    relay: RelayUnderTest, at: Endpoint | None, *, insist: bool = False, tenant: Tenant | None = None
) -> list[Exchange]:
    """Send hello, auth (of the main tenant, or `tenant`) and a tunnel_info on a new connection.

    Returns the exchanges, up to the first request that isn't served; without a connection there are none. With
    `insist`, the requests after a refusal are sent too, although they may be refused for another reason.
    """
    try:
        return _attempt(relay, at, tenant or relay.tenant, insist=insist)
    except (Unreachable, HandshakeFailure, Inconclusive):
        return []


def attempt_for_code(relay: RelayUnderTest, at: Endpoint | None, code: str) -> list[Exchange]:
    """Attempt as `attempt` does. Raises Broken if there is no connection on which `code` could be sent.

    Raises NotExercised if the WebSocket's opening handshake is refused with a status of the same meaning.
    """
    try:
        return _attempt(relay, at, relay.tenant)
    except WebSocketRefused as refused:
        if refused.status in _NOT_NOW:
            raise NotExercised(f"HTTP status {refused.status} refuses the WebSocket, before any code is sent") from None
        raise Broken(f"an error with code {code}", str(refused)) from None
    except (Unreachable, HandshakeFailure) as error:
        raise Broken(f"an error with code {code}", f"{_NO_CONNECTION}: {error}") from None


def step_of_refusal(relay: RelayUnderTest, at: Endpoint | None, code: str) -> str:
    """Return the step at which a client is refused, and the reaction; `code` is the expected one."""
    try:
        exchange = _attempt(relay, at, relay.tenant)[-1]
    except WebSocketRefused as refused:
        return f"opening handshake: status {refused.status}" if refused.status else "opening handshake: none"
    except (Unreachable, HandshakeFailure):
        return _NO_CONNECTION
    return f"{exchange.request.type if exchange.request else ''}: {reaction(exchange, code)}"


def _attempt(relay: RelayUnderTest, at: Endpoint | None, tenant: Tenant, *, insist: bool = False) -> list[Exchange]:
    session = relay.connect(at=at)
    exchanges = [session.hello()]
    if insist and not session.ended and not judge.served(exchanges[-1]):
        exchanges.append(session.hello())  # a relay may refuse only the first hello
    steps: tuple[Callable[[], Exchange], ...] = (
        lambda: relay.authenticate(session, tenant),
        lambda: session.ask(relay.tunnel_info(tenant.id)),
    )
    for step in steps:
        if session.ended or not (insist or judge.served(exchanges[-1])):
            break
        exchanges.append(step())
    return exchanges


def not_served(exchanges: list[Exchange], expected: str) -> None:
    """Check that no tunnel was opened."""
    for exchange in exchanges:
        if is_for_tunnel(exchange):
            judge.not_accepted(exchange, expected)


def served_tunnel(exchange: Exchange) -> bool:
    """Whether a tunnel was opened."""
    return is_for_tunnel(exchange) and judge.served(exchange)


def is_for_tunnel(exchange: Exchange) -> bool:
    """Whether the request was a tunnel_info."""
    return exchange.request is not None and exchange.request.type == "tunnel_info"


def code_if_any(exchanges: list[Exchange], expected: str) -> None:
    """Check that an error, if one was sent, has the code `expected`."""
    for exchange in exchanges:
        code = judge.error_code(exchange)
        for answer in exchange.answers:
            judge.legible(answer)
        if code and code != expected:
            raise Broken(f"{expected}, if any code", f"an error with code {code!r}", exchange)


def code_is_sent(exchanges: list[Exchange], expected: str) -> None:
    """Check that the refusal was an error with the code `expected`."""
    if not any(judge.error_code(exchange) == expected for exchange in exchanges):
        for exchange in exchanges:
            if exchange.answer is not None:
                judge.legible(exchange.answer)
        raise Broken(f"an error with code {expected}", "; ".join(map(seen, exchanges)), *exchanges)


def seen(exchange: Exchange) -> str:
    """Return a short description of an exchange's first answer, or of the silence."""
    return judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)


def connection_after_error(session: ProbeSession, request: dict[str, Any] | None = None) -> str:
    """Return whether the relay keeps a connection open after an error: whether it answers one more request."""
    after = request or {"type": "cbspec_after_an_error"}
    exchange = session.ask(after, invalid="" if request else "of unknown type", fence=False)
    if not exchange.answers and exchange.ended is None:
        raise Inconclusive("neither an answer nor a close after the error")
    return OPEN if exchange.answers else CLOSED


def dials(relay: RelayUnderTest, at: Endpoint | None) -> bool:
    """Whether transfers at this address fail only if the remote end can't be reached."""
    condition = relay.profile.conditions.get("transfer_failed")
    return relay.profile.remote.dialled if at is None else bool(condition and condition.dialled)


@contextlib.contextmanager
def failing(relay: RelayUnderTest) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield an address (None: the target's) and a tunnel_info whose transfer fails there."""
    remote = relay.profile.remote
    end = remote.unreachable or remote.reachable
    request = relay.tunnel_info(remote_host=end.host, remote_port=end.port)
    if remote.dialled and remote.unreachable is not None:
        yield None, request
        return
    if "transfer_failed" not in relay.profile.conditions:
        raise NotExercised("give remote.unreachable with remote.dialled = true, or conditions.transfer_failed")
    with relay.provoked("transfer_failed") as (_, at):
        yield at, request


@contextlib.contextmanager
def dialling(relay: RelayUnderTest) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield as `failing` does. Raises NotExercised unless transfers fail only for an unreachable remote end."""
    with failing(relay) as (at, request):
        if not dials(relay, at):
            raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.dialled")
        yield at, request
