"""What the tests have instead of the user's own: a development identity, and a place for what is kept between runs.

For all tests alike, from the first on: a relay that tests share has its certificate from the identity of its time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples in every run: a gate is not where chance belongs. New ones: --hypothesis-profile=default.
settings.register_profile("the same every time", derandomize=True)
settings.load_profile("the same every time")


@pytest.fixture(scope="session", autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's directories; subprocesses see the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBSPEC_STATE_DIR", str(tmp_path_factory.mktemp("identity")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
