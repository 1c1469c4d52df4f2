"""A development identity of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the development CA out of the user's directory; subprocesses see the same one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBSPEC_STATE_DIR", str(tmp_path_factory.mktemp("identity")))
        yield
