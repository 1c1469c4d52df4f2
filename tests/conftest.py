"""The setting of all tests: fixed Hypothesis examples and directories apart from the user's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The examples are the same in every run, so a failure in CI can be repeated; `--hypothesis-profile=random` draws new
# ones.
# Durations are not checked: on a busy machine they say nothing about the code. Each test has its own time limit.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("random"), derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests and their subprocesses out of the user's directories; all of them share one development identity."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBSPEC_STATE_DIR", str(tmp_path_factory.mktemp("identity")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
