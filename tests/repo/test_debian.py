"""The Debian programs that tests need are installed by .ci/run and named in the README."""

from __future__ import annotations

import re

import pytest

from tests.debian import program
from tests.repo.tree import ROOT, sources, text

CALL = re.compile(r'program\("([\w.-]+)", "([\w.-]+)"\)')
NEEDED = sorted({found for path in sources("tests") for found in CALL.findall(text(path))})


def test_every_program_is_installed_and_named() -> None:
    for name, package in NEEDED:
        assert re.search(rf"missing\+=\({package}\)", text(ROOT / ".ci" / "run")), f"{name} of {package}"
        assert re.search(rf"apt-get install[\w .-]* {package}\b", text(ROOT / "README.md")), f"{name} of {package}"


def test_a_missing_program_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"^promtool is missing: apt-get install .*prometheus$"):
        program("promtool", "prometheus")
