"""Source: Error Codes / server_unavailable."""

from __future__ import annotations

from cbspec.profile.profile import Condition, Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.relay.error_codes.refusals import (
    attempt,
    attempt_or_say,
    code_if_any,
    code_is_sent,
    not_served,
    step_of_refusal,
)
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.runner.marks import alone, requirement
from cbspec_conformance.target.provoke import until
from cbspec_conformance.target.relay import RelayUnderTest


@alone
@requirement("CB-UNA-001")
def test_unavailable_relay_does_not_serve(relay: RelayUnderTest) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel: no tunnel is opened."""
    relay.open_tunnel(relay.authenticated())
    with relay.provoked("unavailable") as (condition, at):
        until(condition, lambda: _not_served(relay, at), (Broken,))
        for _ in range(3):  # and it goes on so
            _not_served(relay, at)


@alone
@requirement("CB-UNA-002")
def test_code_if_any(relay: RelayUnderTest) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel; if an error is sent, its code is read."""
    with relay.provoked("unavailable") as (condition, at):
        _settle(relay, condition, at)
        code_if_any(attempt(relay, at), "server_unavailable")


@alone
@requirement("CB-UNA-003")
def test_code_is_sent(relay: RelayUnderTest) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel; it is told server_unavailable."""
    with relay.provoked("unavailable") as (condition, at):
        _settle(relay, condition, at)
        code_is_sent(attempt_or_say(relay, at, "server_unavailable"), "server_unavailable")


@alone
@requirement("CB-UNA-004")
def test_serves_again(relay: RelayUnderTest) -> None:
    """After what made the relay unavailable is taken away, a client gets its tunnel within a few seconds."""
    condition = relay.profile.conditions.get("unavailable")
    if condition is None or (condition.target is None and condition.begin is None):
        raise NotExercised("give conditions.unavailable: a target where it holds, or begin and end")
    if condition.target is not None or condition.end is None:
        raise NotExercised("give conditions.unavailable.begin and end, instead of a target where it always holds")
    with relay.provoked("unavailable"):
        _settle(relay, condition, None)
    until(condition, lambda: _served(relay), (Broken,))


@alone
@requirement("CB-UNA-101")
def test_step_of_the_refusal(relay: RelayUnderTest) -> None:
    """While the relay is unavailable a client tries hello, auth and a tunnel, until it is refused."""
    with relay.provoked("unavailable") as (condition, at):
        _settle(relay, condition, at)
        relay.log.saw(step_of_refusal(relay, at, "server_unavailable"))


@alone
@requirement("CB-UNA-102")
def test_websocket_handshake(relay: RelayUnderTest) -> None:
    """While the relay is unavailable a client sends an opening handshake; the HTTP status is read."""
    relay.needs.websocket()
    with relay.provoked("unavailable") as (condition, at):
        _settle(relay, condition, at)
        try:
            relay.log.saw(f"status {upgrade(relay, at=at).status}")
        except (Unreachable, HandshakeFailure):
            relay.log.saw("no connection, or none with TLS")


def _settle(relay: RelayUnderTest, condition: Condition, at: Endpoint | None) -> None:
    """Wait until the condition shows; whether it does at all is CB-UNA-001's to say."""
    try:
        until(condition, lambda: _not_served(relay, at), (Broken,))
    except Broken:
        raise Inconclusive("the relay serves in spite of conditions.unavailable (see CB-UNA-001)") from None


def _not_served(relay: RelayUnderTest, at: Endpoint | None) -> None:
    not_served(attempt(relay, at, insist=True), "no tunnel while the relay is unavailable")


def _served(relay: RelayUnderTest) -> None:
    exchanges = attempt(relay, None)
    if not exchanges:
        raise Broken("a relay that serves again", "no connection, or none with TLS")
    judge.accepted(exchanges[-1], "server_unavailable")
