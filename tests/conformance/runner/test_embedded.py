"""The embedded simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.runner.embedded import SimulatorFailed, embedded_simulator


def test_it_runs_until_the_context_is_left() -> None:
    with embedded_simulator() as ready:
        profile = ready()
        address = profile.target.address
        assert address is not None
        assert profile.main_tenant is not None
        tcp_connect(address, None, 20.0).close()
    with pytest.raises(Unreachable):
        tcp_connect(address, None, 20.0)


def test_its_error_is_shown_if_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    with pytest.raises(SimulatorFailed, match=r"ca\.(pem|key)"), embedded_simulator() as ready:
        ready()
