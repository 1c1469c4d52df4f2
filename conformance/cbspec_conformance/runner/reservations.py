"""What a case must have for itself while others run, from its marks and the profile.

Only one case at a time may count against a limit of a tenant, use a tenant's rate, or cause a condition. Everything is
reserved at once, before the case begins, so no two cases can wait for each other.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.runner.marks import part_of
from cbspec_conformance.target.room import assigned, rated


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of one case: `alone` is the whole relay, `names` the tenants and conditions of its own.

    A case that is `late` begins after all that aren't.
    """

    alone: bool = False
    names: frozenset[str] = frozenset()
    late: bool = False


def needs_of(item: pytest.Item, case: str, profile: Profile) -> Needs:
    """Return the needs of a case."""
    main = profile.main_tenant  # any case may use it
    names = {main.id} if main is not None and (main.tunnel_limit or main.connection_limit) else set()
    for mark in item.iter_markers("limits"):
        names |= {tenant.id for key in mark.args for tenant in assigned(profile, key, case)}
    for mark in item.iter_markers("all_limits"):
        names |= {tenant.id for key in mark.args for tenant in profile.tenants_with(key)}
    alone = item.get_closest_marker("alone") is not None
    late = part_of(item) > 0  # whatever is compared at the very end is reserved, so its case comes last anyway
    for mark in item.iter_markers("rates"):
        with suppress(NotExercised):
            tenants = [rated(profile, number) for number in mark.args]
            names |= {tenant.id for tenant in tenants}
            # Another scope may count the requests of several tenants together.
            own = all(tenant.rate is None or tenant.rate.own for tenant in tenants)
            alone |= not own
            late &= not own  # such a case waits for seconds, and affects no other tenant
    for mark in item.iter_markers("provokes"):
        (name,) = mark.args
        condition = profile.conditions.get(name)
        # A condition without an address of its own holds for the whole relay.
        alone |= condition is None or condition.target is None
        names.add(f"conditions.{name}")
    return Needs(alone, frozenset(names), late)
