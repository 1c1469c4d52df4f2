"""The packages and the tests: layout, exports and names."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

from tests.repo.tree import PACKAGES, ROOT, name, sources, text, tree

LONGEST_FILE = 600  # lines

# Modules without a test file of their own name, and the file that tests them.
TESTED_ELSEWHERE = {
    "cbspec/cbspec/protocol/handshake.py": "tests/cbspec/protocol/test_websocket.py",
    "cbspec/cbspec/tls_contexts.py": "tests/cbspec/protocol/test_tls.py",
    "cbspec/cbspec/__main__.py": "tests/cbspec/cli/test_main.py",
    "cbspec/cbspec/errors.py": "tests/cbspec/cli/test_main.py",
    # Locust loads this file; importing it would patch the whole process.
    "cbspec/cbspec/cli/load_locustfile.py": "tests/cbspec/cli/test_load.py",
    "reference_client/cbspec_client/load.py": "tests/cbspec/cli/test_load.py",
    "reference_client/cbspec_client/display.py": "tests/reference_client/test_command.py",
    "simulator/cbspec_simulator/app/announce.py": "tests/simulator/app/test_command.py",
    "simulator/cbspec_simulator/app/options.py": "tests/simulator/app/test_command.py",
    "simulator/cbspec_simulator/edge/action_queue.py": "tests/simulator/edge/test_peer.py",
    "simulator/cbspec_simulator/edge/channel.py": "tests/simulator/edge/test_peer.py",
    "simulator/cbspec_simulator/edge/edge.py": "tests/simulator/edge/test_server.py",
    "simulator/cbspec_simulator/edge/io_requests.py": "tests/simulator/edge/test_peer.py",
    "simulator/cbspec_simulator/edge/timer.py": "tests/simulator/edge/test_peer.py",
    "simulator/cbspec_simulator/relay/actions.py": "tests/simulator/relay/test_session.py",
    "simulator/cbspec_simulator/relay/behaviour.py": "tests/simulator/relay/test_relay.py",
    "simulator/cbspec_simulator/relay/output.py": "tests/simulator/relay/test_session.py",
    "simulator/cbspec_simulator/relay/requests.py": "tests/simulator/relay/test_session.py",
    "simulator/cbspec_simulator/testing/pytest_relays.py": "tests/simulator/testing/test_pytest_plugin.py",
    "conformance/cbspec_conformance/replay/outcome.py": "tests/conformance/replay/test_replay.py",
    "conformance/cbspec_conformance/replay/script.py": "tests/conformance/replay/test_replay.py",
    "conformance/cbspec_conformance/judging/errors.py": "tests/conformance/judging/test_judge.py",
    "conformance/cbspec_conformance/properties/effort.py": "tests/conformance/properties/test_explore.py",
    "conformance/cbspec_conformance/record/transcript.py": "tests/conformance/record/test_render.py",
    "conformance/cbspec_conformance/target/facts.py": "tests/conformance/test_end_to_end.py",
    "conformance/cbspec_conformance/judging/case.py": "tests/conformance/reporting/test_judge_command.py",
    "conformance/cbspec_conformance/record/conclusions.py": "tests/conformance/reporting/test_judge_command.py",
    "conformance/cbspec_conformance/record/saved.py": "tests/conformance/reporting/test_judge_command.py",
    "conformance/cbspec_conformance/reporting/saved_run.py": "tests/conformance/reporting/test_judge_command.py",
    "conformance/cbspec_conformance/probe/channel.py": "tests/conformance/probe/test_session.py",
    "conformance/cbspec_conformance/probe/fences.py": "tests/conformance/probe/test_session.py",
    "conformance/cbspec_conformance/runner/outputs.py": "tests/conformance/runner/test_plugin.py",
    "conformance/cbspec_conformance/target/connector.py": "tests/conformance/target/test_relay.py",
    "conformance/cbspec_conformance/target/tokens.py": "tests/conformance/target/test_relay.py",
    "simulator/cbspec_simulator/app/assembly.py": "tests/simulator/app/test_command.py",
    "simulator/cbspec_simulator/settings/config.py": "tests/simulator/settings/test_reading.py",
    "simulator/cbspec_simulator/control/guard.py": "tests/simulator/control/test_api.py",
    "simulator/cbspec_simulator/control/server.py": "tests/simulator/control/test_api.py",
    "simulator/cbspec_simulator/control/streams.py": "tests/simulator/control/test_api.py",
    "simulator/cbspec_simulator/base/state.py": "tests/simulator/relay/test_session.py",
    "simulator/cbspec_simulator/faults/kind.py": "tests/simulator/faults/test_engine.py",
}
# Folders of data or of parts of one whole, which are tested together.
TESTED_TOGETHER = {
    "conformance/cbspec_conformance/relay/": "tests/conformance/test_end_to_end.py",
    "simulator/cbspec_simulator/variations/": "tests/simulator/variations",
}
# Folders of tests about the whole project, and the folder of shared test code.
OF_THE_WHOLE = {"repo", "adequacy", "endurance", "fuzz", "hostile", "support"}

MODULES = [path for path in sources(*PACKAGES.values()) if path.name != "__init__.py"]


def mirror_of(path: Path) -> Path:
    """Return the folder in tests/ that mirrors the folder of a module."""
    top, _package, *groups, _file = path.relative_to(ROOT).parts
    return Path(ROOT, "tests", top, *groups)


def home_of(path: Path) -> Path:
    """Return the file or folder with the tests of a module."""
    for start, home in {**TESTED_ELSEWHERE, **TESTED_TOGETHER}.items():
        if name(path).startswith(start):
            return ROOT / home
    return mirror_of(path) / f"test_{path.stem}.py"


def test_every_module_has_its_tests() -> None:
    missing = [f"{name(path)} needs {name(home_of(path))}" for path in MODULES if not home_of(path).exists()]
    assert missing == []
    assert [file for file in TESTED_ELSEWHERE if not (ROOT / file).exists()] == []


def test_every_folder_of_tests_mirrors_a_folder_of_sources() -> None:
    mirrored = {mirror_of(path) for path in sources(*PACKAGES.values())}
    for folder in {path.parent for path in sources("tests")} - mirrored:
        inner = folder.relative_to(ROOT / "tests").parts
        assert not inner or inner[0] in OF_THE_WHOLE or ((ROOT / inner[0]).is_dir() and len(inner) == 1), name(folder)


def test_every_package_is_typed_and_lists_its_exports() -> None:
    for package, folder in PACKAGES.items():
        assert (ROOT / folder / "py.typed").exists()
        for init in sources(folder):
            if init.name == "__init__.py":
                _check_exports(init, ".".join([package, *init.parent.relative_to(ROOT / folder).parts]))


def _check_exports(init: Path, module: str) -> None:
    exported = getattr(importlib.import_module(module), "__all__", ())
    assert len(set(exported)) == len(exported), module
    for symbol in exported:
        assert getattr(importlib.import_module(module), symbol) is not None, f"{module}.{symbol}"


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
