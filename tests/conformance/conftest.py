"""Makes the suite's marks known here, where its own configuration doesn't apply."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

import conformance


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks that the suite's configuration registers."""
    suite = configparser.ConfigParser()
    suite.read(Path(conformance.__path__[0]) / "pytest.ini")
    for line in suite["pytest"]["markers"].strip().splitlines():
        config.addinivalue_line("markers", line)
