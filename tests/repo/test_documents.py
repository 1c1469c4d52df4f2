"""What is generated in docs/ is what the packages say now."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli.fault import described
from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS, load_config
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import CONDITIONS
from tests.repo.documents import (
    DOCUMENTS,
    EXAMPLE,
    FAULT_COMMAND,
    FAULT_EXAMPLE,
    MEASURED,
    SEQUENCE_EXAMPLE,
    SITUATIONS,
    WRITTEN,
    table,
)
from tests.repo.tree import ROOT, text, tracked

DOCS = ROOT / "docs"
PROSE = [path for path in tracked() if path.suffix == ".md" and DOCS not in path.parents]


@pytest.mark.parametrize("file", DOCUMENTS)
def test_a_document_says_what_its_source_says(file: str) -> None:
    path = DOCS / file
    assert path.exists(), f"docs/{file} is missing: run make docs"
    assert text(path) == DOCUMENTS[file](), f"docs/{file} is out of date: run make docs"


def test_docs_holds_nothing_else() -> None:
    assert {path.name for path in DOCS.iterdir()} == {*DOCUMENTS, *MEASURED, *WRITTEN}


def test_every_requirement_deviation_variant_and_open_point_is_in_its_document() -> None:
    headings = re.findall(r"^### (CB-\S+)", text(DOCS / "requirements.md"), re.MULTILINE)
    assert headings == list(REQUIREMENTS)
    rows = re.findall(r"^\| `(\S+)` \|", text(DOCS / "deviations.md"), re.MULTILINE)
    assert sorted(rows) == sorted([*DEVIATIONS, *VARIANTS, *OPEN_POINTS])


@pytest.mark.parametrize("path", [*PROSE, *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_every_id_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"CB-[A-Z]{3}-\d+", text(path))
    assert [id_ for id_ in named if id_ not in REQUIREMENTS] == []


@pytest.mark.parametrize("path", [*PROSE, *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", text(path))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_the_configuration_to_start_from_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(EXAMPLE)
    assert load_config(file).relay.buffer_pool == 20


def test_the_faults_that_the_document_shows_can_be_had() -> None:
    shown = tomllib.loads(FAULT_EXAMPLE)["faults"][0]
    assert _added(FAULT_COMMAND.removeprefix("cbspec fault add ")) == Fault.read(shown)
    assert Fault.read(tomllib.loads(SEQUENCE_EXAMPLE)["faults"][0]).repeat
    for said in SITUATIONS.values():
        _added(said)


def _added(words: str) -> Fault:
    kind, *keys = shlex.split(words)
    return Fault.read(described(kind, keys))


def test_every_kind_of_fault_is_in_its_document() -> None:
    head, _, rest = text(DOCS / "faults.md").partition("\n## When\n")
    assert re.findall(r"^\| `(\S+)` \|", head, re.MULTILINE) == list(KINDS)
    assert set(CONDITIONS) <= set(re.findall(r"^\| `(\S+)` \|", rest, re.MULTILINE))


def test_a_table_s_cells_stay_cells() -> None:
    assert table(("a", "b"), [("x|y", "1\n2")]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |"
