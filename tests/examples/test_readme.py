"""The tests of a client in the documents pass as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT, text


@pytest.mark.parametrize(("document", "passed"), [("README.md", 1), ("docs/client-tests.md", 4)])
def test_the_tests_in_the_document_pass(document: str, passed: int, tmp_path: Path) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```", text(ROOT / document), re.MULTILINE | re.DOTALL)
    (tmp_path / "test_client.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_client.py"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f" {passed} passed" in done.stdout


def test_the_program_with_the_reference_client_runs(tmp_path: Path) -> None:
    (source,) = re.findall(
        r"^```python\n(.*?)^```", text(ROOT / "docs" / "reference-client.md"), re.MULTILINE | re.DOTALL
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a heartbeat took ")
