"""The setting of all tests: fixed Hypothesis examples and directories apart from the user's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# The examples are the same in every run, so a failure in CI can be repeated. `--hypothesis-profile=random` draws new ones.
# There is no deadline: under load, the duration of an example says nothing about the code.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests and their subprocesses out of the user's directories; all of them share one development identity."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBSPEC_STATE_DIR", str(tmp_path_factory.mktemp("identity")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
