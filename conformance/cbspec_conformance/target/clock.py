"""The difference between the relay's clock and the suite's: by a wrong clock, a good token is expired or not yet valid.

It is read from the Date of an HTTP response. If the relay rejects an ordinary token, tokens of other times are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

NOTABLE: Final = 30.0  # seconds: a smaller difference is that of most machines

SHIFTS: Final = (-120.0, -600.0, -3600.0, 3600.0)
"""Seconds by which the times of tokens are moved if the relay rejects those of now."""


def ahead(date: str, now: float) -> float:
    """Return the seconds by which the clock of an HTTP Date is ahead of `now`; 0.0 if not notable or unreadable.

    Source: RFC 9110, 5.6.7. A Date is up to a second old.
    """
    try:
        read = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    difference = read.replace(tzinfo=read.tzinfo or UTC).timestamp() - now
    return float(round(difference)) if abs(difference) > NOTABLE else 0.0


def fitting_shift(measured: float, accepted: Callable[[float], bool]) -> float | None:
    """Return the first shift of tokens that the relay accepts, the measured one first, or None."""
    shifts = dict.fromkeys((measured, *SHIFTS))
    return next((shift for shift in shifts if shift and accepted(shift)), None)


def in_words(seconds: float) -> str:
    """Return a difference of clocks in words."""
    amount, way = abs(seconds), "ahead of" if seconds > 0 else "behind"
    return f"{f'{amount / 60:.0f} minutes' if amount >= 120 else f'{amount:.0f} seconds'} {way} the suite's clock"
