"""Tests of the simulator, in memory or over loopback."""

import pytest

pytest.register_assert_rewrite("tests.simulator.variations.deviations.probe")
