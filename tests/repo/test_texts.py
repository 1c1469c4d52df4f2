"""Rules for the text of tracked files; the commands and examples in documents; the generated documents."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import COMMANDS, main
from cbspec.cli.fault import described
from cbspec_simulator import load_config
from cbspec_simulator.faults.fault import Fault
from tests.repo.documents import DOCUMENTS
from tests.repo.tree import ROOT, name, sources, text, tracked

# The words are assembled here, so that this file does not contain them.
FORBIDDEN = {
    "a note on unfinished work": rf"\b(?:{'TO'}DO|{'FIX'}ME|{'HA'}CK)\b",
    # A system's own folders (/tmp, /dev, /etc) exist everywhere; these belong to one machine or person.
    "a path of one machine": rf"(?<![\w./])/(?:{'ho'}me|{'ro'}ot|{'wo'}rk|{'Us'}ers|{'mn'}t|{'op'}t)/\w+",
    "a registry's name": rf"{'py'}pi\.org|{'python'}hosted\.org|{'registry'}\.npm|{'index'}-url|{'extra'}-index",
}

TEXTS = [path for path in tracked() if path.suffix not in {".bin", ".png"} and "/examples/" not in name(path)]
PROSE = [path for path in tracked() if path.suffix == ".md"]
MAKEFILE = text(ROOT / "Makefile")
DOCS = ROOT / "docs"
README_LINES = 150


def test_no_file_holds_machine_specific_or_unfinished_text() -> None:
    for meaning, pattern in FORBIDDEN.items():
        found = [f"{name(path)}: {match[0]}" for path in TEXTS if (match := re.search(pattern, _read(path)))]
        assert found == [], meaning


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_every_text_ends_with_one_line_feed_and_has_no_trailing_space() -> None:
    for path in TEXTS:
        lines = _read(path)
        assert lines == "" or (lines.endswith("\n") and not lines.endswith("\n\n")), name(path)
        assert not re.search(r"[ \t]+$|\r", lines, re.MULTILINE), name(path)


def blocks(prose: str) -> Iterator[str]:
    """Yield every line of the code blocks, fenced or indented, without those in another language."""
    fence: str | None = None
    for line in prose.splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
        elif fence in ("", "sh", "shell", "bash", "console") or (fence is None and line.startswith("    ")):
            yield line.strip().removeprefix("$ ")


def commands(prose: str) -> list[list[str]]:
    """Return the commands in a document's code blocks and single back quotes."""
    plain = re.sub(r"^```.*?^```", "", prose, flags=re.MULTILINE | re.DOTALL)
    lines = [*blocks(prose), *re.findall(r"`([^`\n]+)`", plain)]
    found = []
    for line in lines:
        first = line.split(" ", 1)[0]
        if first in ("cbspec", "make", "pytest"):
            words = shlex.split(line.split(" # ")[0], comments=True)
            found.append([word for word in words if word not in ("[OPTION", "...]")])
    return found


NAMED = {(path.name, *command) for path in PROSE for command in commands(text(path)) if len(command) > 1}


def test_the_readme_is_short_and_names_the_main_commands() -> None:
    assert len(text(ROOT / "README.md").splitlines()) <= README_LINES
    named = {" ".join(command[1:3]) for command in NAMED if command[0] == "README.md"}
    assert {"make verify", "make test", "cbspec verify", "cbspec simulate", "pytest conformance/"} <= named


def test_every_make_target_and_test_path_in_a_document_exists() -> None:
    for document, program, first, *_ in NAMED:
        if program == "make":
            assert re.search(rf"^{re.escape(first)}:", MAKEFILE, re.MULTILINE), f"{document}: make {first}"
        elif program == "pytest":
            assert (ROOT / first.split("::")[0]).exists(), f"{document}: pytest {first}"


def test_every_command_and_option_in_a_document_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown: dict[tuple[str, ...], str] = {}
    for document, program, first, *rest in sorted(NAMED):
        if (program, first) == ("pytest", "conformance/"):
            program, first = "cbspec", "verify"  # which has the same options
        if program != "cbspec" or first.startswith("-"):
            continue
        rest = rest[: rest.index("--")] if "--" in rest else rest  # then another program's command follows
        assert first in COMMANDS, f"{document}: cbspec {first}"
        sub = (first, rest[0]) if first == "profile" and rest else (first,)
        if sub not in shown:
            assert main([*sub, "--help"]) == 0
            shown[sub] = capsys.readouterr().out
        options = [word.split("=")[0] for word in rest if re.match(r"--[a-z]", word)]
        assert [option for option in options if option not in shown[sub]] == [], f"{document}: cbspec {first}"


def test_the_readme_counts_the_requirements() -> None:
    (count,) = re.findall(r"(\d+) requirements", text(ROOT / "README.md"))
    assert int(count) == len(REQUIREMENTS)


def test_make_help_lists_every_target() -> None:
    targets = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)
    assert targets == re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)
    assert sorted(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()) == sorted(targets)


def test_every_program_of_debian_that_tests_need_is_installed_by_ci_and_named() -> None:
    calls = {
        call for path in sources("tests") for call in re.findall(r'program\("([\w.-]+)", "([\w.-]+)"[,)]', text(path))
    }
    for program, package in calls:
        assert re.search(rf"missing\+=\({package}\)", text(ROOT / ".ci" / "run")), f"{program} of {package}"
        assert re.search(rf"apt-get install[\w .-]* {package}\b", text(ROOT / "README.md")), f"{program} of {package}"


@pytest.mark.parametrize("file", DOCUMENTS)
def test_a_document_is_up_to_date(file: str) -> None:
    path = ROOT / file
    assert path.exists(), f"{file} is missing: run make docs"
    assert text(path) == DOCUMENTS[file](), f"{file} is out of date: run make docs"


def test_every_requirement_and_link_in_a_document_exists() -> None:
    for path in PROSE:
        named = re.findall(r"CB-[A-Z]{3}-\d+", text(path))
        assert [id_ for id_ in named if id_ not in REQUIREMENTS] == [], path.name
        links = re.findall(r"\]\(([^)#]+)", text(path))
        assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == [], path.name


def test_the_example_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    (example,) = code_in("reference/configuration.md", "toml")
    file.write_text(example)
    assert load_config(file).relay.buffer_pool == 20


def test_the_example_faults_are_valid() -> None:
    fault, sequence = (tomllib.loads(block)["faults"][0] for block in code_in("reference/faults.md", "toml"))
    (command,) = code_in("reference/faults.md", "sh")
    assert _added(command.removeprefix("cbspec fault add ")) == Fault.read(fault)
    assert Fault.read(sequence).repeat
    situations = re.findall(r"`cbspec fault add ([^`]+)` \|$", text(DOCS / "reference" / "faults.md"), re.MULTILINE)
    assert len(situations) > 10
    for words in situations:
        _added(words)


def code_in(document: str, language: str) -> list[str]:
    """Return the code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(DOCS / document), re.MULTILINE | re.DOTALL)


def _added(words: str) -> Fault:
    kind, *keys = shlex.split(words)
    return Fault.read(described(kind, keys))
