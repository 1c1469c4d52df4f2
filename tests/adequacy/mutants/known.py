"""What is known of the mutants: which modules are mutated, what of them is left out, and why a survivor may live.

It is kept by hand, in survivors.toml beside this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some mutants may live: `kind` is one of `KINDS`, `mutants` are their ids."""

    kind: str
    why: str
    mutants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What isn't mutated: scopes of a file ("A" is A and everything in it), and why."""

    file: str
    scopes: tuple[str, ...]
    why: str

    def covers(self, file: str, scope: str) -> bool:
        """Say whether a scope is left out."""
        return file == self.file and any(scope == name or scope.startswith(f"{name}.") for name in self.scopes)


@dataclass(frozen=True, slots=True)
class Known:
    """The whole of survivors.toml."""

    modules: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    reasons: tuple[Reason, ...]

    def is_left_out(self, file: str, scope: str) -> bool:
        """Say whether a scope of a module isn't mutated."""
        return any(entry.covers(file, scope) for entry in self.left_out)

    @property
    def survivors(self) -> dict[str, Reason]:
        """The reason of each mutant that may live."""
        return {mutant: reason for reason in self.reasons for mutant in reason.mutants}


KINDS: Final = {
    "equivalent": "The relay does the same, or what it does differently no client can bring about.",
    "beyond the wire": "Something differs, but no byte that a client gets.",
    "freedom": "The bytes differ, and the specification allows both.",
    "beyond the suite": "A difference that a black-box judge can't reach within the bounds that it keeps.",
}


def read(text: str | None = None) -> Known:
    """Return what is known. Raises ValueError where the file contradicts itself."""
    data = tomllib.loads(FILE.read_text(encoding="utf-8") if text is None else text)
    known = Known(
        tuple(data["modules"]),
        tuple(LeftOut(each["file"], tuple(each["scopes"]), each["why"]) for each in data.get("left_out", ())),
        tuple(Reason(each["kind"], each["why"], tuple(each["mutants"])) for each in data.get("reason", ())),
    )
    _check(known)
    return known


def _check(known: Known) -> None:
    for reason in known.reasons:
        if reason.kind not in KINDS:
            raise ValueError(f"survivors.toml: {reason.kind} is none of {', '.join(KINDS)}")
    twice = _twice(mutant for reason in known.reasons for mutant in reason.mutants)
    if twice:
        raise ValueError(f"survivors.toml: there is more than one reason for {twice[0]}")


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
