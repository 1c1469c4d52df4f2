"""Settings of all tests: repeatable examples, workers and what each runs, own directories for identity and cache."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Every run uses the same examples, and a slow machine is no failure, so that a gate never fails by chance.
# --hypothesis-profile=default uses new examples.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use two workers for each processor, since tests wait for processes and sockets half of the time."""
    return 2 * (os.cpu_count() or 1)


_TOGETHER = (
    "tests/conformance/reporting/formats/",
    "tests/conformance/reporting/html/",
    "tests/simulator/control/page/",
    "tests/simulator/testing/test_user_projects.py",
)
"""Tests that share recorded runs, a browser or a built wheel: one worker makes these, not each."""

_LONG = (
    "tests/repo/test_",
    "tests/examples/",
    "tests/adequacy/",
    "tests/conformance/learning/",
    "tests/conformance/client/",
    "tests/conformance/test_",
    "tests/conformance/runner/",
)
"""Tests of which some take longest. They begin the run, so that no worker has one of them left at its end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


class _Schedule(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives tests to workers one by one, but those of `_TOGETHER` to one worker, and first."""

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, _TOGETHER), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Return the schedule of the workers. xdist's own groups have no effect with pytest 9.2."""
    return _Schedule(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests and their subprocesses out of the user's directories."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBSPEC_STATE_DIR", str(tmp_path_factory.mktemp("identity")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
