"""The marks that cases carry: which requirement, and what the case needs of the run."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import find


def requirement(identifier: str) -> pytest.MarkDecorator:
    """Say which requirement a case exercises. An id that the catalogue doesn't have is an error at once."""
    return pytest.mark.requirement(find(identifier).id)


alone = pytest.mark.alone
"""The case needs the relay to itself: no other process of the run uses it meanwhile."""

last = pytest.mark.last
"""The case comes after all others: what it does to the relay lasts a while."""

MARKERS = (
    "requirement(id): the requirement that a case exercises",
    "alone: the case needs the relay to itself",
    "last: the case comes after all others",
)
"""The marks as pytest is told of them."""
