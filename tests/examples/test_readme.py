"""The README's test of a client, pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.repo.tree import ROOT, text


def test_the_tests_of_a_client_pass_when_they_are_pasted(tmp_path: Path) -> None:
    job = text(ROOT / "README.md").partition("## Test your client\n")[2].partition("\n## ")[0]
    (source,) = re.findall(r"^```python\n(.*?)^```", job, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_client.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_client.py"]
    environment = {**os.environ, "CBSPEC_STATE_DIR": str(tmp_path / "identity")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout
    assert " 4 passed" in done.stdout
