"""Source: Error Codes / server_unavailable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cbspec.profile.profile import Condition, Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.relay.error_codes import refusals
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.runner.marks import provokes, requirement, requirements
from cbspec_conformance.target.provoke import until
from cbspec_conformance.target.relay import RelayUnderTest

pytestmark = provokes("unavailable")

_CODE = "server_unavailable"


@requirement("CB-UNA-001")
def test_unavailable_relay_does_not_serve(relay: RelayUnderTest) -> None:
    """While the relay is unavailable, send hello, auth and a tunnel_info: no tunnel is opened."""
    relay.open_tunnel(relay.authenticated())
    with relay.provoked("unavailable") as (condition, at):
        until(condition, lambda: _not_served(relay, at), (Broken,))
        for _ in range(3):  # the relay must stay unavailable
            _not_served(relay, at)


@requirements("CB-UNA-002", "CB-UNA-003")
def test_code(relay: RelayUnderTest, identifier: str) -> None:
    """While the relay is unavailable, send hello and auth; expect server_unavailable, or no error (CB-UNA-002)."""
    with _unavailable(relay) as at:
        if identifier == "CB-UNA-002":
            refusals.code_if_any(refusals.attempt(relay, at), _CODE)
        else:
            refusals.code_is_sent(refusals.attempt_for_code(relay, at, _CODE), _CODE)


@requirement("CB-UNA-004")
def test_serves_again(relay: RelayUnderTest) -> None:
    """After the relay became available again, a client gets a tunnel within a few seconds."""
    condition = relay.profile.conditions.get("unavailable")
    if condition is None or (condition.target is None and condition.begin is None):
        raise NotExercised("give conditions.unavailable: a target where it holds, or begin and end")
    if condition.target is not None or condition.end is None:
        raise NotExercised("give conditions.unavailable.begin and end, instead of a target where it always holds")
    for request in ("hello", "auth", "tunnel_info"):
        relay.needs.served(request)
    with relay.provoked("unavailable"):
        _settle(relay, condition, None)

    def served() -> None:
        exchanges = refusals.attempt(relay, None)
        if not exchanges:
            raise Broken("a relay that serves again", "no connection, or none with TLS")
        judge.accepted(exchanges[-1], _CODE)

    until(condition, served, (Broken,))


@requirement("CB-UNA-101")
def test_step_of_the_refusal(relay: RelayUnderTest) -> None:
    """While the relay is unavailable, send hello, auth and a tunnel_info until one is refused."""
    with _unavailable(relay) as at:
        relay.log.saw(refusals.step_of_refusal(relay, at, _CODE))


@requirement("CB-UNA-102")
def test_websocket_handshake(relay: RelayUnderTest) -> None:
    """While the relay is unavailable, send an opening handshake and record the HTTP status."""
    relay.needs.websocket()
    with _unavailable(relay) as at:
        try:
            relay.log.saw(f"status {upgrade(relay, at=at).status}")
        except (Unreachable, HandshakeFailure):
            relay.log.saw("no connection, or none with TLS")


@contextlib.contextmanager
def _unavailable(relay: RelayUnderTest) -> Iterator[Endpoint | None]:
    """Yield the address at which the relay is unavailable, once it shows."""
    with relay.provoked("unavailable") as (condition, at):
        _settle(relay, condition, at)
        yield at


def _settle(relay: RelayUnderTest, condition: Condition, at: Endpoint | None) -> None:
    """Wait until the relay doesn't serve; CB-UNA-001 judges a relay that keeps serving."""
    try:
        until(condition, lambda: _not_served(relay, at), (Broken,))
    except Broken:
        raise Inconclusive("the relay serves in spite of conditions.unavailable (see CB-UNA-001)") from None


def _not_served(relay: RelayUnderTest, at: Endpoint | None) -> None:
    refusals.not_served(refusals.attempt(relay, at, insist=True), "no tunnel while the relay is unavailable")
