"""How an open point is shown: by what a probe sees at the relay that went that way and at the clean one."""

from __future__ import annotations

from cbspec_simulator import Behaviour, Config, Simulator, opened, opened_config
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.simulator.variations.deviations.probe import TENANTS, Probe
from tests.support.memory import MemoryRelay

CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


def show(probes: dict[str, Probe], id_: str) -> None:
    """Assert that an open point is there, and absent from the clean relay."""
    probe = probes[id_]
    assert probe.look(_relay(probe)) == probe.clean
    assert probe.look(_relay(probe, id_)) == probe.wrong


def _relay(probe: Probe, *ids: str) -> MemoryRelay:
    config = opened_config(Config(tenants=TENANTS), *ids)
    return MemoryRelay(*config.tenants, config=config, change=lambda behaviour: opened(behaviour, *ids), **probe.rules)


def serving(*ids: str) -> Simulator:
    """Return a real server that went some ways."""
    return Simulator(opened_config(CONFIG, *ids), behaviour=opened(Behaviour(), *ids))
