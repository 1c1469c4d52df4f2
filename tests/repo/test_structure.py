"""The packages and the tests: layout, imports and names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

from tests.repo.tree import PACKAGES, ROOT, name, sources, text, tree

LONGEST_FILE = 600  # lines
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename='pyproject.toml'))"

# The cases are tested by whole runs, and the variations together.
TESTED_TOGETHER = ("tests/conformance/relay", "tests/simulator/variations/")
# Folders of tests about the whole project, and the folder of shared test code.
OF_THE_WHOLE = {"repo", "adequacy", "endurance", "fuzz", "hostile", "support"}

MODULES = [path for path in sources(*PACKAGES.values()) if path.name != "__init__.py"]


def mirror_of(path: Path) -> Path:
    """Return the folder in tests/ that mirrors the folder of a module."""
    top, _package, *groups, _file = path.relative_to(ROOT).parts
    return Path(ROOT, "tests", top, *groups)


def test_every_group_has_tests() -> None:
    groups = {mirror_of(path) for path in MODULES}
    untested = {name(group) for group in groups if not list(group.glob("test_*.py"))}
    assert {group for group in untested if not group.startswith(TESTED_TOGETHER)} == set()


def test_every_folder_of_tests_mirrors_a_folder_of_sources() -> None:
    mirrored = {mirror_of(path) for path in sources(*PACKAGES.values())}
    for folder in {path.parent for path in sources("tests")} - mirrored:
        inner = folder.relative_to(ROOT / "tests").parts
        assert not inner or inner[0] in OF_THE_WHOLE or ((ROOT / inner[0]).is_dir() and len(inner) == 1), name(folder)


def test_every_package_is_typed() -> None:
    assert [folder for folder in PACKAGES.values() if not (ROOT / folder / "py.typed").exists()] == []


def test_no_public_class_name_is_defined_twice() -> None:
    places = defaultdict(list)
    for path in sources(*PACKAGES.values(), "tests", "bench"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith(("_", "Test")):
                places[node.name].append(name(path))
    assert {symbol: files for symbol, files in places.items() if len(files) > 1} == {}


def test_no_file_is_a_giant() -> None:
    lengths = {name(path): len(text(path).splitlines()) for path in sources(*PACKAGES.values(), "tests", "bench")}
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_the_map_names_every_group_and_nothing_else() -> None:
    groups = {"/".join(path.relative_to(ROOT).parts[:3]) for path in MODULES if len(path.relative_to(ROOT).parts) > 3}
    described = set(re.findall(r"^\| `((?:\w+/){2}\w+)/` \|", text(ROOT / "ARCHITECTURE.md"), re.MULTILINE))
    assert described == groups


def test_every_contract_of_imports_is_kept_without_exceptions() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]
    assert set(settings["root_packages"]) == set(PACKAGES)
    assert settings.get("exclude_type_checking_imports", False) is False
    assert all({"ignore_imports", "skip_descendants"}.isdisjoint(contract) for contract in settings["contracts"])
