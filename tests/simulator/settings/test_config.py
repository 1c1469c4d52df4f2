"""What the configuration itself refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.settings.config import Listen


def test_the_development_identity_does_not_leave_loopback_unasked() -> None:
    abroad = Config(listen=Listen("192.0.2.1", 0))
    with pytest.raises(ConfigError, match=r"\[tls\] chain and \[tokens\]"):
        Simulator(abroad)
    Simulator(replace(abroad, development=True))
