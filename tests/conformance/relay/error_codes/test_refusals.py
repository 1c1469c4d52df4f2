"""A relay that serves nobody more: what its refusal says, and what it doesn't."""

from __future__ import annotations

from typing import cast

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.relay.error_codes.refusals import attempt, attempt_or_say, served_tunnel, step_of_refusal
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest
from tests.conformance.conftest import MakeTarget

CODE = "server_unavailable"


class _Unconnected:
    """A relay to which there is no connection."""

    tenant = None

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connect(self, **_: object) -> None:
        raise self._error


def _unconnected(error: Exception) -> RelayUnderTest:
    return cast("RelayUnderTest", _Unconnected(error))


@pytest.mark.parametrize("status", [429, 503])
def test_what_http_says_to_a_websocket_needs_no_code(status: int) -> None:
    relay = _unconnected(WebSocketRefused("it is busy", status))
    with pytest.raises(NotExercised, match=f"HTTP status {status}"):
        attempt_or_say(relay, None, CODE)
    assert step_of_refusal(relay, None, CODE) == f"opening handshake: status {status}"


@pytest.mark.parametrize("status", [None, 200, 404, 500])
def test_any_other_status_is_no_code_and_is_named(status: int | None) -> None:
    relay = _unconnected(WebSocketRefused(f"status {status}", status))
    with pytest.raises(Broken, match=f"no WebSocket was opened: status {status}"):
        attempt_or_say(relay, None, CODE)


def test_where_there_is_no_connection_that_is_said() -> None:
    relay = _unconnected(Unreachable("refused"))
    with pytest.raises(Broken, match=r"no connection, or none with TLS: .*refused"):
        attempt_or_say(relay, None, CODE)
    assert step_of_refusal(relay, None, CODE) == "no connection, or none with TLS"


@pytest.mark.parametrize("error", [Unreachable("refused"), WebSocketRefused("busy", 503), Inconclusive("slow")])
def test_an_attempt_without_a_connection_asks_nothing(error: Exception) -> None:
    assert attempt(_unconnected(error), None, insist=True) == []


def test_a_relay_that_serves_is_asked_to_the_end(simulated: Profile, make_target: MakeTarget) -> None:
    exchanges = attempt(make_target(simulated), None)
    assert [served_tunnel(exchange) for exchange in exchanges] == [False, False, True]
    assert step_of_refusal(make_target(simulated), None, CODE) == "tunnel_info: accepted"
