"""The embedded simulator: started, used, ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.runner.embedded import SimulatorFailed, embedded_simulator


def test_it_is_there_as_long_as_it_is_needed() -> None:
    with embedded_simulator() as profile:
        address = profile.target.address
        assert address is not None
        assert profile.main_tenant is not None
        tcp_connect(address, None, 20.0).close()
    with pytest.raises(Unreachable):
        tcp_connect(address, None, 20.0)


def test_why_it_didn_t_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    with pytest.raises(SimulatorFailed, match=r"didn't start: .*ca\.(pem|key)"), embedded_simulator():
        pytest.fail("it started")
