"""What cases learn about the relay, as plain data: the processes of a run pass it on to each other."""

from __future__ import annotations

from typing import Any, Final

from cbspec_conformance.target.relay import SharedParts

_LEARNED: Final = {
    "tempo": ("closing_after", "silent", "rate_struck", "roomless", "late", "calibrated"),
    "ledger": ("whole", "pause", "searched", "cleared"),
    "": ("rates_used", "rates_exceeded", "limited_always", "silent_alone"),
}
"""The attributes of parts ("": the shared object itself) that a later case uses. All only grow."""

Learned = dict[tuple[str, str], Any]


def learned(shared: SharedParts, before: Learned | None = None) -> Learned:
    """Return what a process knows; of a dictionary, only what is not in `before`."""
    found: Learned = {}
    for part, names in _LEARNED.items():
        for name in names:
            value = getattr(getattr(shared, part) if part else shared, name)
            if isinstance(value, dict):
                known = (before or {}).get((part, name), {})
                value = {key: each for key, each in value.items() if known.get(key) != each}
            found[part, name] = value.copy() if isinstance(value, set) else value
    return found


def learn(shared: SharedParts, more: Learned) -> None:
    """Add what another process knows."""
    for (part, name), value in more.items():
        owner = getattr(shared, part) if part else shared
        own = getattr(owner, name)
        if isinstance(own, (set, dict)):
            own.update(value)
        else:
            setattr(owner, name, max(own, value))
