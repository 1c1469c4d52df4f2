"""How mutants are made and named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.adequacy.mutants.known import read
from tests.repo.tree import ROOT

pytest.importorskip("mutmut", reason="the extra `mutation` isn't installed")
from tests.adequacy.mutants.mutations import Mutant, mutants_of

SOURCE = '''\
"""A module."""
from typing import Final

LIMIT: Final = 3
TABLE = {"a": LIMIT}


class Counter:
    """Counts."""

    __slots__ = ("_used",)

    @property
    def full(self) -> bool:
        """Say whether it is full: CB-TUN-001."""
        return self._used >= LIMIT

    def take(self, *, many: int = 1) -> None:
        if self.full:
            raise ValueError("there is none left")
        self._used += many
        self.tell(self, many=many)
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    """Return the mutants of a small module."""
    (tmp_path / "m.py").write_text(SOURCE)
    return list(mutants_of(tmp_path, "m.py"))


def test_tables_properties_and_defaults_are_mutated_and_prose_isn_t(mutants: list[Mutant]) -> None:
    assert [mutant.id for mutant in mutants] == [
        "m.py LIMIT: LIMIT: Final = 3 -> LIMIT: Final = 4",
        'm.py TABLE: TABLE = {"a": LIMIT} -> TABLE = {"XXaXX": LIMIT}',
        "m.py Counter.full: return self._used >= LIMIT -> return self._used > LIMIT",
        "m.py Counter.take: def take(self, *, many: int = 1) -> None: -> def take(self, *, many: int = 2) -> None:",
        "m.py Counter.take: self._used += many -> self._used = many",
        "m.py Counter.take: self._used += many -> self._used -= many",
        "m.py Counter.take: self.tell(self, many=many) -> self.tell(self, )",
    ]


def test_a_mutant_is_the_module_with_one_difference(mutants: list[Mutant]) -> None:
    for mutant in mutants:
        before, after = SOURCE.splitlines(), mutant.source.splitlines()
        assert [line.strip() for line in before if line not in after] == [mutant.was]
        assert [line.strip() for line in after if line not in before] == [mutant.becomes]


def test_a_name_outlives_changes_elsewhere(mutants: list[Mutant], tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(SOURCE.replace("\n\nclass", "\n\ndef f() -> None:\n    pass\n\n\nclass"))
    assert [mutant.id for mutant in mutants_of(tmp_path, "m.py")] == [mutant.id for mutant in mutants]


def test_what_reads_the_same_is_numbered(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(a: int) -> None:\n    a = -a\n    a = 1\n    a = 1\n")
    assert [mutant.id for mutant in mutants_of(tmp_path, "m.py")][-2:] == [
        "m.py f: a = 1 -> a = 2",
        "m.py f: a = 1 -> a = 2 (no. 2)",
    ]


@pytest.mark.parametrize("file", read().modules)
def test_every_survivor_is_a_mutant_of_today_and_python(file: str) -> None:
    known, mutants = read(), {mutant.id: mutant for mutant in mutants_of(ROOT, file)}
    for id_ in known.survivors:
        if id_.startswith(f"{file} "):
            assert id_ in mutants, "the source changed: run make mutants"
            ast.parse(mutants[id_].source)
