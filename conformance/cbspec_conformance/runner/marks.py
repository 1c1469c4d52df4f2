"""The marks of cases: the requirement that a case exercises, and its needs from the run."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import find
from cbspec.profile.target import Feature

_PLACES = {"first": -1, "last": 1, "final": 2}  # the parts of a run, by mark


def requirement(identifier: str, *also: str) -> pytest.MarkDecorator:
    """Mark a case with the requirement that it exercises.

    `also` are invariants of which the case has the best evidence: it runs for them, too, though others can pass them.
    Raises UnknownRequirement.
    """
    return pytest.mark.requirement(*(find(each).id for each in (identifier, *also)))


def requirements(*identifiers: str) -> pytest.MarkDecorator:
    """Run a case once for each requirement, which it gets as `identifier`."""
    return pytest.mark.parametrize("identifier", [pytest.param(each, marks=requirement(each)) for each in identifiers])


alone = pytest.mark.alone
"""The case needs the relay to itself: no other case uses it at the same time."""


def limits(*keys: Feature) -> pytest.MarkDecorator:
    """Mark a case that counts against the limits of the tenant that it gets for each key (`target.room.assigned`)."""
    mark: pytest.MarkDecorator = pytest.mark.limits(*keys)
    return mark


def all_limits(*keys: Feature) -> pytest.MarkDecorator:
    """Mark a case that counts against limits of any tenant."""
    return pytest.mark.all_limits(*keys)


def rates(*numbers: int | None) -> pytest.MarkDecorator:
    """Mark a case that uses the rates of the tenants with these numbers (`target.room.rated`)."""
    return pytest.mark.rates(*numbers)


def provokes(name: str) -> pytest.MarkDecorator:
    """Mark a case that provokes a condition of the profile: alone, unless the condition has an address of its own."""
    return pytest.mark.provokes(name)


first = pytest.mark.first
"""The case runs before all others, while a tenant has room to lose."""

last = pytest.mark.last
"""The case runs after all others, because it affects the relay for some time."""

final = pytest.mark.final
"""The case runs at the very end: it compares the relay with the beginning of the run."""

MARKERS = (
    "requirement(id, ...): the requirement that a case exercises, and invariants of which it has the best evidence",
    "alone: the case needs the relay to itself",
    "limits(key, ...): the case counts against the limits of one tenant each",
    "all_limits(key, ...): the case counts against the limits of any tenant",
    "rates(number, ...): the case uses the rates of some tenants",
    "provokes(name): the case provokes a condition of the profile",
    "first: the case runs before all others",
    "last: the case runs after all others",
    "final: the case runs at the very end",
)
"""The marks in the form of pytest's `markers` setting."""


def part_of(item: pytest.Item) -> int:
    """Return the part of the run to which a case belongs; the cases of a part come after those of the one before."""
    return next((place for name, place in _PLACES.items() if item.get_closest_marker(name)), 0)
