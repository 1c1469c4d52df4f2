"""The identifiers that the suite makes: they carry the requirement of their case, for the search in a relay's log."""

from __future__ import annotations

import re
import uuid
from typing import Final

RUN: Final = uuid.uuid4().hex[:8]
"""The part of the suite's identifiers that differs between runs."""

STEM: Final = re.compile(r"cbspec|cb-[a-z]{3}-\d{3}")
"""The beginning of the identifiers of a case."""

TUNNEL_NAME: Final = re.compile(rf"(?:{STEM.pattern})-[0-9a-f]{{8}}-(?=\d)")
"""The part of a tunnel id before its number."""


def stem_of(requirement: str) -> str:
    """Return the beginning of the identifiers of a requirement's case, such as `cb-tun-005` ("": no requirement)."""
    return requirement.lower() or "cbspec"


def tunnel_name(stem: str, number: int) -> str:
    """Return a tunnel id that is new in this run, and differs from those of other runs."""
    return f"{stem}-{RUN}-{number}"
