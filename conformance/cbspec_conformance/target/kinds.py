"""Several kinds of one mistake in one case: each is tried, and the failure names all that the relay got wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.session import ProbeSession
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

    Raises NotExercised if none could be tried. So many kinds are tried `together`, if each has connections of its own.
    """
    broken: dict[str, Broken] = {}
    unclear: Inconclusive | None = None
    left_out: list[NotExercised] = []

    def attempt(kind: _Kind) -> Broken | Inconclusive | None:
        try:
            check(kind)
        except NotExercised as error:
            left_out.append(error)
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
    if left_out and len(left_out) == len(kinds):
        raise left_out[0]


def in_turn(
    kinds: Mapping[str, _Kind],
    connect: Callable[[], ProbeSession],
    check: Callable[[ProbeSession, _Kind], None],
    *,
    most: int | None = None,
    control: Callable[[ProbeSession], bool] | None = None,
) -> None:
    """Call `check` with every kind and a session, as `each` does: with the same session as long as it stays open.

    For mistakes that should change nothing on their connection. The first kind gets a new session. If a used one shows
    anything, the kind is tried again on a new one, so that no earlier kind is the cause. A session takes at most `most`
    kinds (None: any number). With `control`, a used session proves its refusals by a valid request at its end: if that
    is not accepted, its kinds are tried again, each on a session of its own.
    """
    session: ProbeSession | None = None
    tried: list[str] = []  # with the present session
    doubtful: list[str] = []

    def leave() -> None:
        nonlocal session, most
        if session is not None:
            if control is not None and len(tried) > 1 and (_is_over(session) or not control(session)):
                doubtful.extend(tried[1:])
                most = 1
            session.close()
        session = None
        tried.clear()

    def attempt(name: str) -> None:
        nonlocal session
        if session is not None and (_is_over(session) or len(tried) == most):
            leave()
        session = session or connect()
        tried.append(name)
        try:
            check(session, kinds[name])
        except (Broken, Inconclusive, RateLimited):
            alone = tried == [name]
            tried.pop()
            leave()
            if alone:
                raise
            attempt(name)

    each({name: name for name in kinds}, attempt)
    leave()
    each({name: name for name in doubtful}, attempt)


def _is_over(session: ProbeSession) -> bool:
    return session.ended is not None or session.wire.closed or session.unresponsive
