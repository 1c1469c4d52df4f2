"""A sample of parameters for each build; `make slow` runs the others, too."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def few(values: Iterable[object], every: int) -> list[ParameterSet]:
    """Return parameters, of which one in `every` runs in each build, and the others in `make slow`."""
    return [
        pytest.param(value, marks=[pytest.mark.slow] if number % every else []) for number, value in enumerate(values)
    ]
