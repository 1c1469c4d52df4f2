"""The verdicts of a run: kept while it goes on, so that an interrupted one can be resumed, and held against reasons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.adequacy.mutants.known import Known

_SOURCES: Final = ("cbspec", "simulator", "schemas", "conformance")
_FOLDER: Final = ".mutants"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: `killed` says whether the suite noticed, `by` how: the requirement, or what happened."""

    mutant: str
    killed: bool
    by: str
    seconds: float


class Kept:
    """The verdicts so far, in a file that grows by a line each.

    They hold for the sources that they were found with, of relay and suite; of other ones nothing is kept.
    """

    def __init__(self, file: Path, sources: str, verdicts: dict[str, Verdict]) -> None:
        self._file = file
        self._sources = sources
        self.verdicts = verdicts

    @classmethod
    def open(cls, root: Path, *, trust: bool = False) -> Self:
        """Return what is kept; with `trust` also the mutants that were killed with earlier sources."""
        file, sources = root / _FOLDER / "verdicts.jsonl", _digest(root)
        file.parent.mkdir(exist_ok=True)
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
        kept = [line for line in lines if line["sources"] == sources or (trust and line["killed"])]
        file.write_text("".join(_line({**line, "sources": sources}) for line in kept), encoding="utf-8")
        names = Verdict.__slots__
        return cls(file, sources, {line["mutant"]: Verdict(*(line[name] for name in names)) for line in kept})

    def add(self, verdict: Verdict) -> None:
        """Keep one more."""
        self.verdicts[verdict.mutant] = verdict
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line({**asdict(verdict), "sources": self._sources}))


def _line(members: Mapping[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False) + "\n"


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".toml", ".json"):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def complaints(known: Known, verdicts: Mapping[str, Verdict], *, whole: bool = True) -> list[str]:
    """Return what is wrong: survivors without a reason, reasons without a survivor.

    `whole` says that these are all the mutants there are, so that a reason for another is for none.
    """
    found = []
    for verdict in verdicts.values():
        if not verdict.killed and verdict.mutant not in known.survivors:
            found.append(f"survived, and survivors.toml doesn't say why: {verdict.mutant}")
        if verdict.killed and verdict.mutant in known.survivors:
            found.append(f"killed ({verdict.by}), but survivors.toml says why it lives: {verdict.mutant}")
    if whole:
        found += [f"in survivors.toml, but no mutant: {mutant}" for mutant in known.survivors if mutant not in verdicts]
    return found
