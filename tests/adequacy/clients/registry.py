"""The changes of the base client, each with its id, its kind, the requirement that it concerns, and one sentence."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from tests.adequacy.clients.base import BaseClient


class ClientKind(StrEnum):
    """The kind of a change, which decides the right verdict."""

    DEVIATION = "deviation"
    VARIANT = "variant"
    OPEN_POINT = "open-point"


class ClientChange(NamedTuple):
    """One change.

    `requirement` is the one that a deviation breaks, or that shows an open point. `situations` are those that can show
    it. `also` are further requirements that the same mistake can't help but break. `profile` has keys of the client
    profile that differ, and `websocket` says that the change needs that transport (False: TCP; None: either).
    """

    id: str
    kind: ClientKind
    requirement: str
    sentence: str
    mixin: type[BaseClient]
    situations: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    profile: Mapping[str, Any] = {}
    websocket: bool | None = None
    arguments: tuple[str, ...] = ()


CHANGES: Final[dict[str, ClientChange]] = {}
"""Every change by its id, once its module is imported."""

CHAPTERS: Final = (
    "answers",
    "lenience",
    "failures",
    "retrying",
    "requests",
    "security",
    "websocket",
    "variants",
    "choices",
)
"""The modules with changes."""

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # places between the words of a name
_Mixin = TypeVar("_Mixin", bound=type[BaseClient])


def deviation(requirement: str, sentence: str, *situations: str, **more: Any) -> Callable[[_Mixin], _Mixin]:  # noqa: ANN401
    """Register a class as a deviation; its id is its name in lower case with hyphens."""
    return _registered(ClientKind.DEVIATION, requirement, sentence, situations, more)


def variant(sentence: str, **more: Any) -> Callable[[_Mixin], _Mixin]:  # noqa: ANN401
    """Register a class as a conforming variant."""
    return _registered(ClientKind.VARIANT, "", sentence, (), more)


def open_point(requirement: str, sentence: str, **more: Any) -> Callable[[_Mixin], _Mixin]:  # noqa: ANN401
    """Register a class as a choice that the specification leaves open."""
    return _registered(ClientKind.OPEN_POINT, requirement, sentence, (), more)


def _registered(
    kind: ClientKind, requirement: str, sentence: str, situations: Sequence[str], more: Mapping[str, Any]
) -> Callable[[_Mixin], _Mixin]:
    def register(mixin: _Mixin) -> _Mixin:
        id_ = _WORDS.sub("-", mixin.__name__.lstrip("_")).lower()
        if id_ in CHANGES:
            raise ValueError(f"two changes are called {id_}")
        CHANGES[id_] = ClientChange(id_, kind, requirement, sentence, mixin, tuple(situations), **more)
        return mixin

    return register


def load() -> Mapping[str, ClientChange]:
    """Import every module with changes, and return the changes."""
    for chapter in CHAPTERS:
        importlib.import_module(f"tests.adequacy.clients.{chapter}")
    return CHANGES


def combined(ids: Sequence[str]) -> type[BaseClient]:
    """Return the base client with some changes. Raises KeyError for an unknown one."""
    changes = load() if ids else {}
    bases = [changes[id_].mixin for id_ in ids]
    return type("Combined", (*bases, BaseClient), {})
