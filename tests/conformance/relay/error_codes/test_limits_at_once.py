"""More than a limit allows, asked for at once."""

from __future__ import annotations

from typing import Any, cast

from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.test_limits_at_once import still_held
from tests.conformance.build import HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, error, exchange


class _Asked:
    """A session that is closed already, or will be seen to be."""

    def __init__(self, heartbeat: Exchange, *, ended: bool = False) -> None:
        self.ended = ended
        self._heartbeat = heartbeat

    def heartbeat(self) -> Exchange:
        return self._heartbeat


def test_what_a_closed_connection_gave_back_is_not_counted() -> None:
    sessions: list[Any] = [
        _Asked(exchange(HEARTBEAT, HEARTBEAT_RESPONSE)),
        _Asked(exchange(HEARTBEAT)),
        _Asked(exchange(HEARTBEAT, HEARTBEAT_RESPONSE), ended=True),
    ]
    exchanges = [exchange(TUNNEL, error()) for _ in sessions]
    assert still_held(cast("list[ProbeSession]", sessions), exchanges) == exchanges[:1]
