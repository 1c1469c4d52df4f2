"""The generated documents in docs/ are up to date, and their examples are valid."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli.fault import described
from cbspec_simulator import load_config
from cbspec_simulator.faults.fault import Fault
from tests.repo.documents import DOCUMENTS, MEASURED, WRITTEN
from tests.repo.tree import ROOT, text, tracked

DOCS = ROOT / "docs"
PROSE = [path for path in tracked() if path.suffix == ".md" and DOCS not in path.parents]


@pytest.mark.parametrize("file", DOCUMENTS)
def test_a_document_is_up_to_date(file: str) -> None:
    path = DOCS / file
    assert path.exists(), f"docs/{file} is missing: run make docs"
    assert text(path) == DOCUMENTS[file](), f"docs/{file} is out of date: run make docs"


def test_docs_holds_nothing_else() -> None:
    assert {path.name for path in DOCS.iterdir()} == {*DOCUMENTS, *MEASURED, *WRITTEN}


def test_every_requirement_and_link_in_a_document_exists() -> None:
    for path in [*PROSE, *DOCS.glob("*.md")]:
        named = re.findall(r"CB-[A-Z]{3}-\d+", text(path))
        assert [id_ for id_ in named if id_ not in REQUIREMENTS] == [], path.name
        links = re.findall(r"\]\(([^)#]+)", text(path))
        assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == [], path.name


def test_the_example_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    (example,) = blocks("configuration.md", "toml")
    file.write_text(example)
    assert load_config(file).relay.buffer_pool == 20


def test_the_example_faults_are_valid() -> None:
    fault, sequence = (tomllib.loads(block)["faults"][0] for block in blocks("faults.md", "toml"))
    (command,) = blocks("faults.md", "sh")
    assert _added(command.removeprefix("cbspec fault add ")) == Fault.read(fault)
    assert Fault.read(sequence).repeat
    situations = re.findall(r"`cbspec fault add ([^`]+)` \|$", text(DOCS / "faults.md"), re.MULTILINE)
    assert len(situations) > 10
    for words in situations:
        _added(words)


def blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(DOCS / document), re.MULTILINE | re.DOTALL)


def _added(words: str) -> Fault:
    kind, *keys = shlex.split(words)
    return Fault.read(described(kind, keys))
