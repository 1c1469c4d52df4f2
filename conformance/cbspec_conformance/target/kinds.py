"""Several kinds of one mistake in one case: each is tried, and the failure names all that the relay got wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.waits import at_once

_Kind = TypeVar("_Kind")

_MOST = 4  # broken kinds after which no more are tried: each may cost a time-out


def kind_of(value: object) -> str:
    """Return the kind of an invalid value of a member, named as `each` names it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "true"}[value]
    if isinstance(value, int | float):
        value = max(min(value, 1e9), -1e9)
        number = {-1: "negative", 0: "zero", 1: "65536"}[(value > 0) - (value < 0)]
        return number if float(value).is_integer() else "fraction"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "missing")


def each(kinds: Mapping[str, _Kind], check: Callable[[_Kind], None], *, together: int = 1) -> None:
    """Call `check` with every kind. Raises Broken if any kind is broken, else Inconclusive if any is inconclusive.

    So many kinds are tried `together`, if each has connections of its own.
    """
    broken: dict[str, Broken] = {}
    unclear: Inconclusive | None = None

    def attempt(kind: _Kind) -> Broken | Inconclusive | None:
        try:
            check(kind)
        except (Broken, Inconclusive) as error:
            return error
        return None

    names = list(kinds)
    for at in range(0, len(names), together):
        tried = names[at : at + together]
        found = at_once([partial(attempt, kinds[name]) for name in tried])
        broken |= {name: error for name, error in zip(tried, found, strict=True) if isinstance(error, Broken)}
        unclear = unclear or next((error for error in found if isinstance(error, Inconclusive)), None)
        if len(broken) >= _MOST:
            break
    if broken:
        (name, first), *others = broken.items()
        asked = first.exchanges[-1].request if first.exchanges else None
        told = [] if asked is not None and asked.meant else [name]  # the exchange names the kind
        told += [f"broken, too: {', '.join(other for other, _ in others)}"] if others else []
        raise Broken(
            first.expected,
            f"{first.seen} ({'; '.join(told)})" if told else first.seen,
            *first.exchanges,
            requirement=first.requirement,
            expectation=first.expectation,
            kinds=tuple(dict.fromkeys(each for name, error in broken.items() for each in error.kinds or (name,))),
        )
    if unclear is not None:
        raise unclear
