"""Ways to refuse at another step: early, before anything was asked, or late, when a tunnel is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cbspec.protocol.messages import Auth, Request, TunnelInfo
from cbspec_simulator.base.state import Attempt
from cbspec_simulator.base.steps import RELAY_CONNECTIONS, Step, available
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.compose import Change, both, moved, part, without
from cbspec_simulator.variations.variants.kind import Variant

_TCP_ONLY = part(is_websocket=lambda _: False)


def _first_tunnel(attempt: Attempt) -> bool:
    return not attempt.connection.tunnels


def _at(name: str, kind: type[Request], when: Callable[[Attempt], bool] | None = None) -> Change:
    return moved(name, kind, when)


def _only_at(kind: type[Request], name: str) -> Change:
    """Take a step at one request only."""

    def change(behaviour: Behaviour) -> Behaviour:
        steps = {
            each: taken if each is kind else tuple(step for step in taken if step.name != name)
            for each, taken in behaviour.steps.items()
        }
        return replace(behaviour, steps=steps)

    return change


def _welcome(step: Step) -> Change:
    """Take a step before anything is asked."""
    return lambda behaviour: replace(behaviour, welcome=(*behaviour.welcome, step))


_CONNECTION_LIMIT_FIRST = both(
    without(RELAY_CONNECTIONS.name), _welcome(Step(RELAY_CONNECTIONS.name, RELAY_CONNECTIONS))
)
_AVAILABLE_FIRST = _welcome(Step("available", available))

VARIANTS = (
    Variant(
        "address-at-tunnel",
        "A client's address is looked at when it asks for a tunnel, not at auth.",
        _at("allowed-address", TunnelInfo),
    ),
    Variant(
        "tenant-connections-at-tunnel",
        "A tenant's connections count from their first tunnel on.",
        _at("tenant-connections", TunnelInfo, _first_tunnel),
    ),
    Variant(
        "connection-limit-at-accept",
        "A connection over the relay's limit is told so, unasked, as soon as TLS is up; WebSocket is not spoken.",
        both(_TCP_ONLY, _CONNECTION_LIMIT_FIRST),
        transport="tcp",
    ),
    Variant(
        "connection-limit-at-opening",
        "A connection over the relay's limit is told so before its hello is read.",
        _CONNECTION_LIMIT_FIRST,
    ),
    Variant(
        "connection-limit-at-auth",
        "The relay's connections count from auth on.",
        _at(RELAY_CONNECTIONS.name, Auth),
    ),
    Variant(
        "connection-limit-at-tunnel",
        "The relay's connections count from their first tunnel on.",
        _at(RELAY_CONNECTIONS.name, TunnelInfo, _first_tunnel),
    ),
    Variant(
        "unavailable-at-accept",
        "An unavailable relay says so, unasked, as soon as TLS is up; WebSocket is not spoken.",
        both(_TCP_ONLY, _AVAILABLE_FIRST),
        transport="tcp",
    ),
    Variant("unavailable-at-opening", "An unavailable relay says so before it reads hello.", _AVAILABLE_FIRST),
    Variant(
        "unavailable-at-auth", "An unavailable relay answers hello, and refuses auth.", _only_at(Auth, "available")
    ),
    Variant(
        "unavailable-at-tunnel",
        "An unavailable relay answers hello and auth, and refuses tunnels.",
        _only_at(TunnelInfo, "available"),
    ),
)
