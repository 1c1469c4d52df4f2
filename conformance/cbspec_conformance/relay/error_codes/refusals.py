"""What the cases about a relay that serves nobody more share: trying to be served, and reading the refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from cbspec.profile.profile import Endpoint, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.limits import fillable
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest

_NOT_NOW = (429, 503)
"""HTTP statuses by which a server says that it could serve the request at another time."""


@contextlib.contextmanager
def limited(relay: RelayUnderTest, condition: str, declared: int | None) -> Iterator[tuple[Endpoint | None, int]]:
    """Yield where the relay's own limit can be filled, and the limit: at the condition's address, else the target's."""
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
    """Try hello, auth (of the main tenant, or `tenant`) and a tunnel on a new connection; return the exchanges.

    There are none where there is no connection.

    The first that isn't served is the last, unless the suite is to `insist`: what is asked after a refusal may be
    refused for another reason.
    """
    try:
        return _tried(relay, at, tenant or relay.tenant, insist=insist)
    except (Unreachable, HandshakeFailure, Inconclusive):
        return []


def attempt_or_say(relay: RelayUnderTest, at: Endpoint | None, code: str) -> list[Exchange]:
    """Try as `attempt` does, where `code` is to be sent. Raises Broken where there is no connection, and says why.

    Raises NotExercised where a WebSocket's opening handshake is refused with a status that says the same in HTTP.
    """
    try:
        return _tried(relay, at, relay.tenant)
    except WebSocketRefused as refused:
        if refused.status in _NOT_NOW:
            raise NotExercised(f"HTTP status {refused.status} tells it to a WebSocket, before any code can") from None
        raise Broken(f"an error with code {code}", str(refused)) from None
    except (Unreachable, HandshakeFailure) as error:
        raise Broken(f"an error with code {code}", f"no connection, or none with TLS: {error}") from None


def step_of_refusal(relay: RelayUnderTest, at: Endpoint | None, code: str) -> str:
    """Return in a few words at which step a client is refused, and how, where `code` is to be expected."""
    try:
        exchanges = _tried(relay, at, relay.tenant)
    except WebSocketRefused as refused:
        return f"opening handshake: status {refused.status}" if refused.status else "opening handshake: none"
    except (Unreachable, HandshakeFailure):
        return "no connection, or none with TLS"
    last = exchanges[-1]
    return f"{last.request.type if last.request else ''}: {reaction(last, code)}"


def _tried(relay: RelayUnderTest, at: Endpoint | None, tenant: Tenant, *, insist: bool = False) -> list[Exchange]:
    session = relay.connect(at=at)
    exchanges = [session.hello()]
    if insist and not session.ended and not judge.served(exchanges[-1]):
        exchanges.append(session.hello())  # a relay may say once that it doesn't serve, and serve then
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
    """See that no tunnel was opened. Raises Broken where one was."""
    for exchange in exchanges:
        if exchange.request is not None and exchange.request.type == "tunnel_info":
            judge.not_accepted(exchange, expected)


def served_tunnel(exchange: Exchange) -> bool:
    """Whether a tunnel was opened."""
    return exchange.request is not None and exchange.request.type == "tunnel_info" and judge.served(exchange)


def code_if_any(exchanges: list[Exchange], expected: str) -> None:
    """See that an error, if one was sent, has the code `expected`. Raises Broken where it has another."""
    for exchange in exchanges:
        code = judge.error_code(exchange)
        for answer in exchange.answers:
            judge.legible(answer)
        if code and code != expected:
            raise Broken(f"{expected}, if any code", f"an error with code {code!r}", exchange)


def code_is_sent(exchanges: list[Exchange], expected: str) -> None:
    """See that the refusal was an error with the code `expected`. Raises Broken where it wasn't."""
    if not any(judge.error_code(exchange) == expected for exchange in exchanges):
        for exchange in exchanges:
            if exchange.answer is not None:
                judge.legible(exchange.answer)
        seen = "; ".join(_seen(exchange) for exchange in exchanges)
        raise Broken(f"an error with code {expected}", seen, *exchanges)


def _seen(exchange: Exchange) -> str:
    return judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)


def dials(relay: RelayUnderTest, at: Endpoint | None) -> bool:
    """Whether it is only for the remote end that transfers fail there."""
    condition = relay.profile.conditions.get("transfer_failed")
    return relay.profile.remote.dialled if at is None else bool(condition and condition.dialled)


@contextlib.contextmanager
def failing(relay: RelayUnderTest) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield where to ask, and a tunnel_info that fails there."""
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
