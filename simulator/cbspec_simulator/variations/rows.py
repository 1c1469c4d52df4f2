"""Changes that catalogue.toml describes by the name of a function and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.variations.answers import (
    always,
    answers,
    closes,
    closes_after,
    drop,
    instead,
    put,
    refused_by,
    twice,
    unanswered,
)
from cbspec_simulator.variations.histories import after
from cbspec_simulator.variations.parts import Change, part
from cbspec_simulator.variations.requests import Test, accepts, missing, of_type, refuses
from cbspec_simulator.variations.steps import limit, recoded, refused_as, without

_VALUES: Final[Mapping[str, Test]] = {
    "missing": missing,
    "null": of_type(type(None)),
    "number": of_type(int, float),
    "array": of_type(list),
    "object": of_type(dict),
}

_FUNCTIONS: Final[Mapping[str, Callable[..., Change]]] = {
    "after": after,
    "accepts": lambda kind, member, value, by: accepts(kind, member, _VALUES[value], by),
    "closes": lambda *requirements: closes("error", refused_by(*requirements)),
    "closes-after": lambda *requirements: closes_after(refused_by(*requirements)),
    "drop": lambda kind, member: answers(kind, drop(member)),
    "instead": lambda kind, message: answers(kind, instead(**message)),
    "keeps": lambda account: part(releases=lambda given: given.name != account),
    "keeps-at-reset": lambda account: part(releases_at_reset=lambda given: given.name != account),
    "limit": lambda name, more: limit(name, lambda number: number + more),
    "put": lambda kind, member, value, *requirements: answers(kind, put(member, value), _if_broken(requirements)),
    "recoded": lambda name, code: recoded(name, ErrorCode(code)),
    "refused-as": lambda code, *requirements: refused_as(ErrorCode(code), *requirements),
    "refuses": lambda kind, member, value, code: refuses(kind, member, _VALUES[value], ErrorCode(code)),
    "twice": lambda kind: answers(kind, twice),
    "unanswered": lambda kind, *requirements: unanswered(kind, _if_broken(requirements)),
    "unlimited": lambda name: limit(name, lambda _: None),
    "without": without,
}


def change(row: Sequence[Any]) -> Change:
    """Return the change of a row."""
    name, *arguments = row
    return _FUNCTIONS[name](*arguments)


def _if_broken(requirements: Sequence[str]) -> Callable[..., bool]:
    return refused_by(*requirements) if requirements else always
