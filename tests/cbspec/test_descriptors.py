"""The limit of file descriptors."""

from __future__ import annotations

import resource
from unittest.mock import Mock

import pytest

from cbspec.descriptors import raise_limit


def test_the_soft_limit_is_raised_if_the_system_permits(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = min(512, soft), hard
    resource.setrlimit(resource.RLIMIT_NOFILE, lowered)
    try:
        for error in (ValueError, OSError):
            with monkeypatch.context() as refusing:
                refusing.setattr(resource, "setrlimit", Mock(side_effect=error))
                raise_limit()
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == lowered
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
