"""Deviations of hello and its answer."""

from __future__ import annotations

from cbspec.protocol.messages import Auth, AuthResponse, Heartbeat, HeartbeatResponse, Hello
from cbspec.protocol.state import Serve, State
from cbspec_simulator.relay.behaviour import AnswerContext
from cbspec_simulator.variations.answers import answers, instead, mapped
from cbspec_simulator.variations.parts import Change
from cbspec_simulator.variations.requests import accepts, of_type
from cbspec_simulator.variations.steps import rule

_ANSWER = "hello_response"
_REFUSED = instead(type="error", code="unknown_message_type", message="not now")


def _lists_few(exchange: AnswerContext) -> bool:
    return isinstance(exchange.request, Hello) and not set(Hello().features) <= set(exchange.request.features)


def _lists_none(exchange: AnswerContext) -> bool:
    return isinstance(exchange.request, Hello) and not exchange.request.features


def _is_second(exchange: AnswerContext) -> bool:
    return exchange.connection.number % 2 == 0


CHANGES: dict[str, Change] = {
    "hello-every-second-refused": answers(_ANSWER, _REFUSED, _is_second),
    "hello-features-text": answers(_ANSWER, mapped("features", ",".join)),
    "hello-features-number-inside": answers(_ANSWER, mapped("features", lambda names: [*names, 2])),
    "hello-with-text-features-accepted": accepts("hello", "features", of_type(str), lambda text: text.split(",")),
    "hello-features-mixed-accepted": accepts(
        "hello", "features", lambda value: isinstance(value, list) and 1 in value, []
    ),
    "auth-before-hello-accepted": rule(State.CONNECTED, Auth, Serve(AuthResponse, State.AUTHENTICATED, "CB-AUT-001")),
    "heartbeat-before-hello-answered": rule(
        State.CONNECTED, Heartbeat, Serve(HeartbeatResponse, State.CONNECTED, "CB-HBT-001")
    ),
    "hello-with-three-features-refused": answers(_ANSWER, _REFUSED, _lists_few),
    "hello-without-any-feature-refused": answers(_ANSWER, _REFUSED, _lists_none),
}
