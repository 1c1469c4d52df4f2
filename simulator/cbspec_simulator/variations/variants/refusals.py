"""Refusals with another code, or at another step."""

from __future__ import annotations

from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import RequestRefused
from cbspec.protocol.messages import Auth, Request, TunnelInfo
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_TUNNELS, Step, available, new_tunnel
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.steps import moved, refusals, refused_as, without
from cbspec_simulator.variations.variants.closing import MALFORMED

_TCP_ONLY = part(is_websocket=lambda _: False)


def _limits_first(attempt: Attempt, event: RequestRefused) -> Refused | None:
    """Check the limits before the tunnel_info itself."""
    identity = attempt.identity
    if identity is None or event.code is not ErrorCode.INVALID_TUNNEL_INFO:
        return None
    for quota, holder, limit in (
        (TENANT_TUNNELS, identity.tenant.id, identity.tenant.tunnel_limit),
        (BUFFERS, None, attempt.relay.buffer_pool),
    ):
        if limit is not None and attempt.relay.usage.used(Account(quota.name, holder)) >= limit:
            return Refused(quota.code, quota.text)
    return None


def _first_tunnel(attempt: Attempt) -> bool:
    return not attempt.connection.tunnels


def _available_only_at(kind: type[Request]) -> Change:
    """Check availability at one type of request only."""

    def change(behaviour: Behaviour) -> Behaviour:
        steps = {
            each: taken if each is kind else tuple(step for step in taken if step.name != "available")
            for each, taken in behaviour.steps.items()
        }
        return replace(behaviour, steps=steps)

    return change


def _at_opening(step: Step) -> Change:
    """Take a step before the first request."""
    return lambda behaviour: replace(behaviour, welcome=(*behaviour.welcome, step))


_LIMIT_AT_OPENING = both(without(RELAY_CONNECTIONS.name), _at_opening(Step(RELAY_CONNECTIONS.name, RELAY_CONNECTIONS)))
_AVAILABLE_AT_OPENING = _at_opening(Step("available", available))

_MALFORMED_AS = (code for code in ErrorCode if code is not ErrorCode.UNKNOWN_MESSAGE_TYPE)

CHANGES: dict[str, Change] = {
    **{f"malformed-as-{code.value.replace('_', '-')}": refused_as(code, *MALFORMED) for code in _MALFORMED_AS},
    "address-at-tunnel": moved("allowed-address", TunnelInfo),
    "tenant-connections-at-tunnel": moved("tenant-connections", TunnelInfo, _first_tunnel),
    "connection-limit-at-opening": _LIMIT_AT_OPENING,
    "connection-limit-at-auth": moved(RELAY_CONNECTIONS.name, Auth),
    "connection-limit-at-tunnel": moved(RELAY_CONNECTIONS.name, TunnelInfo, _first_tunnel),
    "unavailable-at-opening": _AVAILABLE_AT_OPENING,
    "unavailable-at-auth": _available_only_at(Auth),
    "unavailable-at-tunnel": _available_only_at(TunnelInfo),
    "limits-before-validation": refusals(_limits_first),
    "limits-before-tenant": both(
        moved("buffers", TunnelInfo, new_tunnel, first=True),
        moved("tenant-tunnels", TunnelInfo, new_tunnel, first=True),
    ),
    "pool-before-tenant-limit": moved("tenant-tunnels", TunnelInfo, new_tunnel),
    "connection-limit-at-accept": both(_TCP_ONLY, _LIMIT_AT_OPENING),
    "unavailable-at-accept": both(_TCP_ONLY, _AVAILABLE_AT_OPENING),
}
