"""What no tracked file may hold, and that the commands in the documents exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import COMMANDS, main
from tests.repo.tree import PACKAGES, ROOT, name, text, tracked

# The words are put together here, so that this file doesn't hold them itself.
UNFINISHED = re.compile(rf"\b(?:{'TO'}DO|{'FIX'}ME|{'HA'}CK)\b")
# Folders of one machine or one person; a system's own (/tmp, /dev, /etc) are everybody's.
MACHINE = re.compile(rf"(?<![\w./])/(?:{'ho'}me|{'ro'}ot|{'wo'}rk|{'Us'}ers|{'mn'}t|{'op'}t)/\w+")
REGISTRIES = re.compile(rf"{'py'}pi\.org|{'python'}hosted\.org|{'registry'}\.npm|{'index'}-url|{'extra'}-index")

TEXTS = [path for path in tracked() if path.suffix not in {".bin", ".png"} and "schemas/examples" not in name(path)]
PROSE = [path for path in tracked() if path.suffix == ".md"]
MAKEFILE = text(ROOT / "Makefile")


@pytest.mark.parametrize(("pattern", "what"), [
    (UNFINISHED, "a note on something unfinished"),
    (MACHINE, "a path of one machine"),
    (REGISTRIES, "the name of a registry"),
])  # fmt: skip
def test_no_file_holds(pattern: re.Pattern[str], what: str) -> None:
    found = [f"{name(path)}: {match[0]}" for path in TEXTS if (match := pattern.search(_read(path)))]
    assert found == [], what


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_text_ends_with_one_line_feed_and_has_no_stray_space(path: Path) -> None:
    lines = _read(path)
    assert lines == "" or (lines.endswith("\n") and not lines.endswith("\n\n"))
    assert not re.search(r"[ \t]+$", lines, re.MULTILINE)
    assert "\r" not in lines


def blocks(prose: str) -> Iterator[str]:
    """Yield every line of the code blocks, fenced or indented, that isn't of a named language."""
    fence: str | None = None
    for line in prose.splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
        elif fence in ("", "sh", "shell", "bash", "console") or (fence is None and line.startswith("    ")):
            yield line.strip().removeprefix("$ ")


def commands(prose: str) -> list[list[str]]:
    """Return the commands that a document names: those in code blocks, and those in single back quotes."""
    plain = re.sub(r"^```.*?^```", "", prose, flags=re.MULTILINE | re.DOTALL)
    lines = [*blocks(prose), *re.findall(r"`([^`\n]+)`", plain)]
    found = []
    for line in lines:
        first = line.split(" ", 1)[0]
        if first in ("cbspec", "make", "pytest"):
            words = shlex.split(line.split(" # ")[0], comments=True)
            found.append([word for word in words if word not in ("[OPTION", "...]")])
    return found


NAMED = [(path, command) for path in PROSE for command in commands(text(path)) if len(command) > 1]


def test_the_readme_names_commands() -> None:
    named = {" ".join(command[:2]) for path, command in NAMED if path.name == "README.md"}
    assert {"make verify", "make test", "cbspec verify", "cbspec simulate", "pytest conformance/"} <= named


@pytest.mark.parametrize(
    ("path", "command"), NAMED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_command_that_a_document_names_exists(
    path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    program, first, *rest = command
    if program == "make":
        assert re.search(rf"^{re.escape(first)}:", MAKEFILE, re.MULTILINE), f"{path.name}: make {first}"
    elif program == "pytest":
        target = first.split("::")[0]
        assert (ROOT / target).exists(), f"{path.name}: pytest {first}"
    else:
        assert first in COMMANDS, f"{path.name}: cbspec {first}"
        options = [word.split("=")[0] for word in rest if re.match(r"--[a-z]", word)]
        if first != "verify":
            sub = [rest[0]] if first == "profile" and rest else []
            assert main([first, *sub, "--help"]) == 0
            shown = capsys.readouterr().out
            assert [option for option in options if option not in shown] == [], f"{path.name}: cbspec {first}"


OPTIONS = text(ROOT / PACKAGES["cbspec_conformance"] / "runner" / "options.py")
PYTEST_S_OWN = {"--junit-xml", "-n", "--help", "-k", "-q", "-v", "-x"}


@pytest.mark.parametrize("path", PROSE, ids=name)
def test_every_option_of_the_suite_that_a_document_names_exists(path: Path) -> None:
    named = [c for c in commands(text(path)) if c[:2] in (["cbspec", "verify"], ["pytest", "conformance/"])]
    table_rows = re.findall(r"^\| `(--[\w-]+)", text(path), re.MULTILINE) if path.name == "README.md" else []
    options = {word.split("=")[0] for command in named for word in command[2:] if word.startswith("-")}
    unknown = [o for o in {*options, *table_rows} if f'"{o}"' not in OPTIONS and o not in PYTEST_S_OWN]
    assert unknown == []


def test_the_readme_counts_the_requirements_right() -> None:
    (count,) = re.findall(r"(\d+) requirements", text(ROOT / "README.md"))
    assert int(count) == len(REQUIREMENTS)


def test_the_makefile_helps_with_every_target() -> None:
    targets = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)
    helped = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    assert targets == helped
    assert sorted(phony) == sorted(targets)
