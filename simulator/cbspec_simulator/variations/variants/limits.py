"""Ways to look at limits and times: in another order, later, with another size."""

from __future__ import annotations

from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import RequestRefused
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, TENANT_TUNNELS, new_tunnel
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import both, moved, part, refusals
from cbspec_simulator.variations.variants.closing import CLOSE_AFTER_ERROR
from cbspec_simulator.variations.variants.kind import Variant


def _limits_first(attempt: Attempt, event: RequestRefused) -> Refused | None:
    """Look at the limits before the tunnel_info itself."""
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


def _small(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, max_message=16 * 1024, max_depth=8))


def _on_ipv6(config: Config) -> Config:
    return replace(config, listen=replace(config.listen, host="::1"))


VARIANTS = (
    Variant(
        "limits-before-validation",
        "Limits are looked at before the tunnel_info itself.",
        refusals(_limits_first),
    ),
    Variant(
        "limits-before-tenant",
        "Limits are looked at before the tunnel_info's tenant_id.",
        both(
            moved("buffers", TunnelInfo, new_tunnel, first=True),
            moved("tenant-tunnels", TunnelInfo, new_tunnel, first=True),
        ),
    ),
    Variant(
        "pool-before-tenant-limit",
        "The pool is looked at before the tenant's own limit of tunnels.",
        moved("tenant-tunnels", TunnelInfo, new_tunnel),
    ),
    Variant("late-return", "What a connection held is given back a second after its end.", part(notices_after=1.0)),
    Variant(
        "late-return-behind-errors",
        "Connections are closed behind every error, and what they held is given back a second later.",
        both(CLOSE_AFTER_ERROR, part(notices_after=1.0)),
    ),
    Variant("leeway", "Tokens are good for five minutes more at either end.", part(leeway=300.0)),
    Variant("small-messages", "No message may be longer than 16 KiB or deeper than 8 levels.", arrange=_small),
    Variant("ipv6", "The relay listens on ::1.", arrange=_on_ipv6),
)
