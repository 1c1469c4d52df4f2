"""More requests at once than a limit allows."""

from __future__ import annotations

from unittest.mock import Mock

from cbspec_conformance.relay.error_codes.test_limits_at_once import still_held
from tests.conformance.build import HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, error, exchange


def test_tunnels_of_a_closed_connection_are_not_counted() -> None:
    answered, unanswered = exchange(HEARTBEAT, HEARTBEAT_RESPONSE), exchange(HEARTBEAT)
    sessions = [
        Mock(ended=ended, heartbeat=Mock(return_value=heartbeat))
        for ended, heartbeat in ((False, answered), (False, unanswered), (True, answered))
    ]
    exchanges = [exchange(TUNNEL, error()) for _ in sessions]
    assert still_held(sessions, exchanges) == exchanges[:1]
