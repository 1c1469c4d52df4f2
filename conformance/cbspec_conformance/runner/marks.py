"""The marks of cases: the requirement that a case exercises, and its needs from the run."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import find


def requirement(identifier: str) -> pytest.MarkDecorator:
    """Mark a case with the requirement that it exercises. Raises UnknownRequirement."""
    return pytest.mark.requirement(find(identifier).id)


def requirements(*identifiers: str) -> pytest.MarkDecorator:
    """Run a case once for each requirement, which it gets as `identifier`."""
    return pytest.mark.parametrize("identifier", [pytest.param(each, marks=requirement(each)) for each in identifiers])


alone = pytest.mark.alone
"""The case needs the relay to itself: no other process of the run uses it at the same time."""

first = pytest.mark.first
"""The case runs before all others, while a tenant has room to lose."""

last = pytest.mark.last
"""The case runs after all others, because it affects the relay for some time."""

final = pytest.mark.final
"""The case runs at the very end: it compares the relay with the beginning of the run."""

MARKERS = (
    "requirement(id): the requirement that a case exercises",
    "alone: the case needs the relay to itself",
    "first: the case runs before all others",
    "last: the case runs after all others",
    "final: the case runs at the very end",
)
"""The marks in the form of pytest's `markers` setting."""
