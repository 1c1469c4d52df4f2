"""Setups of local relays."""

from __future__ import annotations

from pathlib import Path

from cbspec_simulator import Behaviour
from cbspec_simulator.testing.setup import Setup
from cbspec_simulator.variations.registry import VARIANTS


def test_config_overrides_the_scenario_and_faults_are_added() -> None:
    setup = Setup.of("slow-relay", config={"seed": 3, "relay": {"buffer_pool": 5}}, faults=[{"kind": "drop"}])
    config = setup.read()
    assert (config.seed, config.relay.buffer_pool) == (3, 5)
    assert [fault.name for fault in config.faults] == ["busy", "thin", ""]


def test_configured_ports_are_replaced_by_free_ones() -> None:
    tables = {"listen": {"host": "0.0.0.0", "port": 8080}, "metrics": {"enabled": True, "port": 9090}}  # noqa: S104
    setup = Setup.of(config={**tables, "control": {"port": 8081}, "development": True})
    config = setup.read()
    assert (config.listen.host, config.listen.port, setup.read(4711).listen.port) == ("127.0.0.1", 0, 4711)
    assert (config.metrics.enabled, config.metrics.port, config.control.port) == (True, 0, 0)


def test_files_are_looked_up_in_the_folder_first(tmp_path: Path) -> None:
    (tmp_path / "slow-relay").write_text("seed = 11")
    (tmp_path / "base.toml").write_text("seed = 12")
    assert Setup.of("slow-relay", folder=tmp_path).read().seed == 11
    assert Setup.of("slow-relay").read().seed == 0
    assert Setup.of(config="base.toml", folder=tmp_path).read().seed == 12


def test_personas_and_variants_change_configuration_and_behaviour() -> None:
    assert Setup.of().behaviour() == Behaviour()
    for changed in ({"persona": "hello-version-missing"}, {"variant": "dribble"}):
        assert Setup.of(**changed).behaviour() != Behaviour()  # type: ignore[arg-type]
    both = Setup.of(variant=["dribble", "no-tickets"], persona="hello-version-missing")
    assert both.character == (("hello-version-missing",), ("dribble", "no-tickets"))
    for id_ in VARIANTS:
        read = Setup.of(variant=id_).read()
        assert (read.listen.host, read.listen.port, read.metrics.port) == ("127.0.0.1", 0, 0)
