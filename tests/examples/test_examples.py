"""The example clients, and the examples in the documents: their tests pass as they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repo.tree import ROOT, text
from tests.support.processes import program

EXAMPLE = ROOT / "examples" / "tunnel_keeper"
PLAIN = ("-p", "no:asyncio", "-p", "no:anyio")
RUNS = {"without plugins": ("tests/test_blocking.py", *PLAIN), "by workers": ("-n", "2", "-p", "no:anyio")}


def run(folder: Path, *options: str, wrong: tuple[str, str] = ("", "")) -> tuple[int, str]:
    """Run the tests of a copy whose client sends `wrong`, if given; return exit code and output."""
    copy = folder / "tunnel_keeper"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    client = copy / "tunnel_keeper.py"
    client.write_text(client.read_text().replace(*wrong))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    environment = {**os.environ, "CBSPEC_STATE_DIR": str(folder / "identity")}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=110)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_its_tests_pass(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, said = run(tmp_path, *options)
    assert code == 0, said
    assert re.search(r"\d+ passed", said)
    assert "skipped" not in said


def test_a_mistake_in_the_client_is_shown_with_the_transcript(tmp_path: Path) -> None:
    wrong = ('"auth_response", type="auth"', '"auth_response", type="login"')
    code, said = run(tmp_path, *PLAIN, "-k", "opened_and_kept", wrong=wrong)
    assert code == 1
    assert "transcript of relay" in said
    assert '-> {"type": "login", "token": "<token>"}' in said
    assert '<- {"type":"error","code":"unknown_message_type"' in said


def test_it_depends_on_the_kit_and_pytest_alone_and_for_its_tests_only() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    assert project.get("dependencies", []) == []
    assert project["optional-dependencies"] == {"test": ["cbspec", "pytest"]}
    assert "simulator" not in (EXAMPLE / "tunnel_keeper.py").read_text()


def run_in(language: str, *command: str) -> str:
    """Run the tests of the client in a language as its author does, with `cbspec` on the path; return the output."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "GOPROXY": "off", "PYTHONDONTWRITEBYTECODE": "yes"}
    folder = ROOT / "examples" / language
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_client_in_go_is_formatted() -> None:
    """The sessions of the documents run the tests of the clients in Python, Node and Go."""
    assert run_in("go", program("gofmt", "golang-go", optional=True), "-l", ".") == ""


def test_the_excerpts_in_the_documents_are_those_of_the_examples() -> None:
    document = text(ROOT / "docs" / "how-to" / "client-tests.md")
    for language, file in (("js", "node/client.test.mjs"), ("go", "go/client_test.go")):
        (excerpt,) = re.findall(rf"^```{language}\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
        assert excerpt in text(ROOT / "examples" / file)


def python_in(document: str) -> str:
    """Return the block of Python in a document."""
    (source,) = re.findall(r"^```python\n(.*?)^```", text(ROOT / document), re.MULTILINE | re.DOTALL)
    return str(source)


def test_the_tests_in_the_document_pass(tmp_path: Path) -> None:
    (tmp_path / "test_client_tests.py").write_text(python_in("docs/how-to/client-tests.md"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 4 passed" in done.stdout


def test_the_programs_with_the_reference_client_run(tmp_path: Path) -> None:
    document = text(ROOT / "docs/how-to/reference-client.md")
    programs = re.findall(r"^```python\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    output = []
    for source in programs:
        command = [sys.executable, "-W", "error", "-c", source]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        output.append(done.stdout)
    assert [text.startswith("a heartbeat took ") for text in output] == [True, False, True]
    opening = ["connecting", "connected", "authenticated", "tunnel_opened", "up"]
    assert output[1].split() == [*opening, "lost", "retrying", *opening, "tunnel_opened", "ended"]
