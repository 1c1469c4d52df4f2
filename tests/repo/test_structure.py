"""Packages, the mirror of source and tests, and sizes."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.repo.tree import PACKAGES, ROOT, name, sources, text, tree

LONGEST_FILE = 500
LONGEST_FUNCTION = 60

# Modules whose tests aren't in a file of their own name, and where they are tested instead.
TESTED_ELSEWHERE = {
    "simulator/announce.py": "tests/simulator/test_command.py",
    "simulator/options.py": "tests/simulator/test_command.py",
    "cbspec/__main__.py": "tests/cbspec/cli/test_main.py",
    "cbspec/cli/errors.py": "tests/cbspec/cli/test_main.py",
    # What Locust loads: importing it would patch the whole process.
    "cbspec/cli/load_locustfile.py": "tests/cbspec/cli/test_load.py",
    "reference_client/load.py": "tests/cbspec/cli/test_load.py",
    # The exchange as `cbspec connect` prints it.
    "reference_client/display.py": "tests/reference_client/test_command.py",
    # The parts of a behaviour and their defaults: what they do is what the relay does.
    "simulator/behaviour.py": "tests/simulator/test_relay.py",
    # The hooks that the plugin registers when it is used.
    "simulator/pytest_turns.py": "tests/simulator/test_pytest_plugin.py",
    # What was expected, as data: made by the judgements, and held against an exchange again.
    "conformance/expectation.py": "tests/conformance/test_judge.py",
    "conformance/failures/export.py": "tests/conformance/failures/test_replay.py",
    "conformance/failures/judging.py": "tests/conformance/failures/test_replay.py",
    "conformance/failures/outcome.py": "tests/conformance/failures/test_replay.py",
    "conformance/failures/player.py": "tests/conformance/failures/test_replay.py",
    # pytest loads it wherever the suite runs.
    "conformance/conftest.py": "tests/conformance/test_plugin.py",
}
# Folders whose modules are tested together: what they hold is data or parts of one thing.
TESTED_TOGETHER = {
    "conformance/relay/": "tests/conformance/test_end_to_end.py",  # cases, tried on the simulator
    "simulator/open_points/": "tests/simulator/open_points",  # each open point, tried on the wire
    "simulator/deviations/": "tests/simulator/deviations",  # each deviation, tried on the wire
    "simulator/variants/": "tests/simulator/variants",  # each variant, tried on the wire
}

# Folders of tests that are about the whole and no folder of its own.
OF_THE_WHOLE = ("repo", "adequacy", "endurance", "fuzz", "hostile")

MODULES = [path for path in sources(*PACKAGES) if path.name != "__init__.py"]
FOLDERS = sorted({path.parent for path in sources(*PACKAGES)})


def home_of(path: Path) -> Path:
    """Return where the tests of a module are."""
    file = name(path)
    if file in TESTED_ELSEWHERE:
        return ROOT / TESTED_ELSEWHERE[file]
    for folder, home in TESTED_TOGETHER.items():
        if file.startswith(folder):
            return ROOT / home
    return ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.stem}.py"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_its_tests(path: Path) -> None:
    assert home_of(path).exists(), f"{name(path)} wants {name(home_of(path))}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in sources("tests")}), ids=name)
def test_every_folder_of_tests_mirrors_one_of_sources(folder: Path) -> None:
    inner = folder.relative_to(ROOT / "tests")
    assert inner.parts[:1] in [(), *((folder,) for folder in OF_THE_WHOLE)] or (ROOT / inner).is_dir()
    assert (folder / "__init__.py").exists()


@pytest.mark.parametrize("file", [*PACKAGES, "cbspec/cli", "tests"])
def test_every_package_is_typed_and_has_a_docstring(file: str) -> None:
    folder = ROOT / file
    assert ast.get_docstring(tree(folder / "__init__.py"))
    if file in PACKAGES:
        assert (folder / "py.typed").exists()


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_what_a_package_exports_is_there_and_sorted(folder: Path) -> None:
    module = importlib.import_module(".".join(folder.relative_to(ROOT).parts))
    exported = getattr(module, "__all__", [])
    init = tree(folder / "__init__.py")
    reached = {
        alias.asname or alias.name
        for node in init.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    for symbol in exported:
        assert getattr(module, symbol) is not None
    if exported:
        defined = {n.name for n in init.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert len(set(exported)) == len(exported)
        assert set(exported) >= {symbol for symbol in reached if not symbol.startswith("_")} - defined


@pytest.mark.parametrize("package", ["schemas", "simulator", "reference_client"])
def test_libraries_say_what_they_export(package: str) -> None:
    assert importlib.import_module(package).__all__


@pytest.mark.parametrize("path", sources(*PACKAGES, "tests"), ids=name)
def test_no_file_is_a_giant(path: Path) -> None:
    assert len(text(path).splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{name(path)}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", sources(*PACKAGES, "tests"), ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{name(path)} has no docstring"
    if tree(path).body[1:] and path.name != "__init__.py":
        assert "from __future__ import annotations" in text(path)
