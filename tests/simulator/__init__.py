"""Tests of the simulator: in memory where that is enough, over loopback with clients of their own where it isn't."""

import pytest

pytest.register_assert_rewrite("tests.simulator.variations.deviations.probe")
