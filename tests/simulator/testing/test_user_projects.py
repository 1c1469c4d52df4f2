"""The wheel in other people's environments: it adds its own names only, and leaves their packages and marks alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.repo.tree import PACKAGES, ROOT, name, tracked

OTHER_PLUGINS = ("anyio", "asyncio", "cacheprovider", "hypothesispytest", "locust", "randomly", "timeout", "xdist")
MINE = "mine = 1\n"


def uses(module: str) -> str:
    """Return tests that import a module of the project, and request a relay."""
    return (
        f"def test_own():\n    from {module} import mine\n    assert mine == 1\n"
        "def test_relay(relay):\n    assert relay.port and relay.token()\n"
    )


PROJECTS: dict[str, dict[str, str]] = {
    "a simulator package": {"simulator/__init__.py": MINE, "test_it.py": uses("simulator")},
    "a simulator module": {"simulator.py": MINE, "test_it.py": uses("simulator")},
    "src with pythonpath": {
        "src/simulator/__init__.py": MINE,
        "pytest.ini": "[pytest]\npythonpath = src\n",
        "tests/test_it.py": uses("simulator"),
    },
    "tests/simulator": {"tests/simulator/__init__.py": MINE, "tests/simulator/test_it.py": uses("simulator")},
    "an editable install of src/schemas": {"src/schemas/__init__.py": MINE, "test_it.py": uses("schemas")},
    "schemas without __init__": {"schemas/mine.py": MINE, "test_it.py": uses("schemas.mine")},
    "a relay fixture and mark": {
        "conftest.py": """
import pytest

@pytest.fixture
def relay(request):
    return request.node.get_closest_marker("relay")
""",
        "test_it.py": """
import pytest

@pytest.mark.relay("K1", channel=3)
def test_arguments(relay):
    assert (relay.args, relay.kwargs) == (("K1",), {"channel": 3})

@pytest.mark.relay(scenario=["a", "b"])
def test_list(relay):
    assert relay.kwargs == {"scenario": ["a", "b"]}
""",
    },
    "a package that hides the kit's": {
        "cbspec/__init__.py": "",
        "test_it.py": "import cbspec\ndef test_own(): pass\ndef test_relay(relay): pass\n",
    },
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, and install it into an environment that shares dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel))
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    (site_packages(python) / "dependencies.pth").write_text("\n".join(shared))
    return python


def site_packages(python: Path) -> Path:
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    return folder


def run(*command: str, folder: Path = ROOT, code: int = 0, **environment: str) -> str:
    """Run a command that must end with an exit code; return its output."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(files: dict[str, str], folder: Path) -> None:
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)


def test_the_wheel_adds_only_names_of_the_kit(python: Path) -> None:
    installed = {path.name for path in site_packages(python).iterdir() if path.suffix not in (".pth", ".dist-info")}
    assert installed == set(PACKAGES)
    assert all(package == "cbspec" or package.startswith("cbspec_") for package in PACKAGES)
    (wheel,) = python.parents[2].glob("*.whl")
    packed = {item for item in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in item}
    folders = tuple(f"{folder}/" for folder in PACKAGES.values())
    assert packed == {name(path).partition("/")[2] for path in tracked() if name(path).startswith(folders)}


def test_pytest_works_in_the_projects_of_users(python: Path, tmp_path: Path) -> None:
    addopts = " ".join(f"-p no:{plugin}" for plugin in OTHER_PLUGINS)
    for project, files in PROJECTS.items():
        folder = tmp_path / project.replace("/", " ")
        write(files, folder)
        path = "src" if "editable" in project else ""
        for options in (["-P"], []):  # with -P, the current folder is not on the path: so the command `pytest` works
            command = [str(python), *options, "-m", "pytest"]
            if "hides" not in project:
                assert "2 passed" in run(*command, folder=folder, PYTEST_ADDOPTS=addopts, PYTHONPATH=path), project
        if "hides" in project:
            printed = run(*command, folder=folder, code=1, PYTEST_ADDOPTS=addopts)
            assert "1 passed, 1 error" in printed
            assert "cbspec/__init__.py hides the package cbspec of the kit: rename it" in printed


def test_the_command_works_next_to_packages_with_the_names_of_the_folders(python: Path, tmp_path: Path) -> None:
    names = ("simulator", "schemas", "reference_client", "conformance", "tests")
    write({f"{package}/__init__.py": "raise SystemExit\n" for package in names}, tmp_path)
    verify = ("-m", "cbspec", "verify", "--only", "CB-HBT-001", "--effort", "quick")
    printed = run(str(python), *verify, folder=tmp_path, PYTHONPATH=".")
    assert "1 requirements passed, none failed" in printed
