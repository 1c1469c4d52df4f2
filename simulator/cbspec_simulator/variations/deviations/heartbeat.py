"""Deviations of the heartbeat."""

from __future__ import annotations

from dataclasses import replace

from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.answers import unanswered
from cbspec_simulator.variations.parts import Change

_ANSWER = "heartbeat_response"


def _held_back(behaviour: Behaviour) -> Behaviour:
    """Send every seventh heartbeat_response with the next answer."""
    held: dict[tuple[int, int], Body] = {}

    def edited(body: Body, exchange: AnswerContext) -> list[Body]:
        key = id(exchange.connection.relay), exchange.connection.number
        found = [*filter(None, [held.pop(key, None)]), *behaviour.answers(body, exchange)]
        if body["type"] == _ANSWER and exchange.nth % 7 == 0:
            held[key] = found.pop()
        return found

    return replace(behaviour, answers=edited)


def _others_are_newer(exchange: AnswerContext) -> bool:
    session = exchange.connection
    return any(other.number > session.number and other.identity for other in session.relay.connections)


CHANGES: dict[str, Change] = {
    "heartbeat-every-seventh-lost": unanswered(_ANSWER, lambda exchange: exchange.nth % 7 == 0),
    "heartbeat-every-seventh-held-back": _held_back,
    "heartbeat-with-tunnel-unanswered": unanswered(_ANSWER, lambda exchange: bool(exchange.connection.tunnels)),
    "heartbeat-after-error-unanswered": unanswered(_ANSWER, lambda exchange: bool(exchange.connection.sent["error"])),
    "heartbeat-of-the-newest-only": unanswered(_ANSWER, _others_are_newer),
}
