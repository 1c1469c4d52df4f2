"""Programs of Debian's that tests need; a test that lacks one fails and says how to get it."""

from __future__ import annotations

import shutil

import pytest


def program(name: str, package: str) -> str:
    """Return the path of a program; fail with the remedy if it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install --no-install-recommends {package}", pytrace=False)
    return found
