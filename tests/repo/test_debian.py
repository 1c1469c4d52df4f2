"""That the programs which tests need of Debian are installed where the tests run, and named to who runs them."""

from __future__ import annotations

import re

import pytest

from tests.debian import program
from tests.repo.tree import ROOT, sources, text

CALL = re.compile(r'program\("([\w.-]+)", "([\w.-]+)"\)')
NEEDED = sorted({found for path in sources("tests") for found in CALL.findall(text(path))})


@pytest.mark.parametrize(("name", "package"), NEEDED)
def test_a_program_is_installed_and_named(name: str, package: str) -> None:
    assert re.search(rf"missing\+=\({package}\)", text(ROOT / ".ci" / "run")), f"{name} of {package}"
    assert re.search(rf"apt-get install[\w .-]* {package}\b", text(ROOT / "README.md")), f"{name} of {package}"


def test_what_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"^promtool is missing: apt-get install .*prometheus$"):
        program("promtool", "prometheus")
