"""A development identity of the tests' own, as the simulator's tests have it."""

from __future__ import annotations

from tests.simulator.conftest import _own_identity as _own_identity
