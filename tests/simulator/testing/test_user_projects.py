"""The wheel in the environments of users: it adds only its own names, and changes no package, mark or fixture there."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.repo.tree import PACKAGES, ROOT, name, tracked

MINE = "mine = 1\n"


def uses(*modules: str) -> str:
    """Return tests that import modules of the project, and request a relay."""
    imports = "".join(f"    from {module} import mine\n    assert mine == 1\n" for module in modules)
    return f"def test_own():\n{imports}def test_relay(relay):\n    assert relay.port and relay.token()\n"


PROJECTS: dict[str, dict[str, str]] = {
    "a simulator package, and schemas without __init__": {
        "simulator/__init__.py": MINE,
        "schemas/mine.py": MINE,
        "test_it.py": uses("simulator", "schemas.mine"),
    },
    "a simulator module, and an editable install of src": {
        "simulator.py": MINE,
        "src/schemas/__init__.py": MINE,
        "test_it.py": uses("simulator", "schemas"),
    },
    "a relay fixture and mark": {
        "test_it.py": """
import sys
import pytest

@pytest.fixture
def relay(request):
    return request.node.get_closest_marker("relay")

@pytest.mark.relay("K1", scenario=["a", "b"])
def test_arguments(relay):
    assert (relay.args, relay.kwargs) == (("K1",), {"scenario": ["a", "b"]})

def test_nothing_is_imported_until_a_test_requests_a_relay():
    plugin = "cbspec_simulator.testing.pytest_plugin"
    imported = {name for name in sys.modules if name.startswith("cbspec")}
    assert imported == {"cbspec_simulator", "cbspec_simulator.testing", plugin}
""",
    },
    "a package that hides the kit's": {
        "cbspec/__init__.py": "",
        "test_it.py": "def test_own(): import cbspec\ndef test_relay(relay): pass\n",
    },
}

OTHERS = ["anyio", "asyncio", "cacheprovider", "hypothesispytest", "locust", "randomly", "timeout", "xdist"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, and unpack it in an environment that shares dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages(python))
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    (site_packages(python) / "dependencies.pth").write_text("\n".join(shared))
    return python


def site_packages(python: Path) -> Path:
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    return folder


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(files: dict[str, str], folder: Path) -> None:
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)


def test_the_wheel_adds_only_names_of_the_kit(python: Path) -> None:
    assert all(package == "cbspec" or package.startswith("cbspec_") for package in PACKAGES)
    (wheel,) = python.parents[2].glob("*.whl")
    packed = {item for item in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in item}
    folders = tuple(f"{folder}/" for folder in PACKAGES.values())
    assert packed == {name(path).partition("/")[2] for path in tracked() if name(path).startswith(folders)}


def test_pytest_works_in_the_projects_of_users(python: Path, tmp_path: Path) -> None:
    for project, files in PROJECTS.items():
        folder = tmp_path / project
        write(files, folder)
        env = {**os.environ, "PYTHONPATH": str(folder / "src") if "editable" in project else ""}
        for path in ("-P", ""):  # as the command pytest and as python -m pytest
            command = [str(python), *filter(None, [path]), "-m", "pytest", *("-pno:" + name for name in OTHERS)]
            printed = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False).stdout
            if "hides" not in project:
                assert "2 passed" in printed, printed
            else:
                assert "1 passed, 1 error" in printed
                assert "cbspec/__init__.py hides the package cbspec of the kit: rename it" in printed


def test_the_command_works_next_to_packages_with_the_names_of_the_folders(python: Path, tmp_path: Path) -> None:
    names = ("simulator", "schemas", "reference_client", "conformance", "tests")
    write({f"{package}/__init__.py": "raise SystemExit\n" for package in names}, tmp_path)
    verify = ("-m", "cbspec", "verify", "--only", "CB-CMP-002", "--effort", "quick")
    assert "1 passed, 0 failed, " in run(str(python), *verify, folder=tmp_path)
