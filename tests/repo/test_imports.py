"""The direction of imports. The contracts are in pyproject.toml; import-linter checks them."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from tests.repo.tree import PACKAGES, ROOT, text

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename='pyproject.toml'))"


def contracts() -> dict[str, dict[str, object]]:
    """Return the contracts by their names."""
    found = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    return {contract["name"]: contract for contract in found}


def test_every_contract_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_type_checking_imports_count_and_no_import_is_excused() -> None:
    settings = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]
    assert set(settings["root_packages"]) == set(PACKAGES)
    assert settings.get("exclude_type_checking_imports", False) is False
    for contract in contracts().values():
        assert "ignore_imports" not in contract
        assert "skip_descendants" not in contract


@pytest.mark.parametrize("module", ["os", "pathlib", "resource", "socket", "time", "filelock", "threading", "asyncio"])
def test_the_protocol_may_not_import(module: str) -> None:
    assert module in contracts()["The protocol does no I/O and reads no clock"]["forbidden_modules"]  # type: ignore[operator]
