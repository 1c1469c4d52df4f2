"""Setups of local relays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cbspec_simulator import Behaviour, ConfigError
from cbspec_simulator.testing.setup import Setup
from cbspec_simulator.variations.registry import VARIANTS


def test_the_default_is_a_relay_on_a_free_port() -> None:
    config = Setup.of().read()
    assert (config.listen.host, config.listen.port, config.control.port) == ("127.0.0.1", 0, None)
    assert Setup.of().read(4711).listen.port == 4711


def test_config_overrides_the_scenario_and_faults_are_added() -> None:
    faults = [{"kind": "drop"}]
    setup = Setup.of("slow-relay", config={"seed": 3, "relay": {"buffer_pool": 5}}, faults=faults)
    config = setup.read()
    assert (config.seed, config.relay.buffer_pool) == (3, 5)
    assert [fault.name for fault in config.faults] == ["busy", "thin", ""]


def test_configured_ports_are_replaced_by_free_ones() -> None:
    tables = {"listen": {"host": "0.0.0.0", "port": 8080}, "metrics": {"enabled": True, "port": 9090}}  # noqa: S104
    config = Setup.of(config={**tables, "control": {"port": 8081}, "development": True}).read()
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 0)
    assert (config.metrics.enabled, config.metrics.port, config.control.port) == (True, 0, 0)


def test_files_are_looked_up_in_the_folder_first(tmp_path: Path) -> None:
    (tmp_path / "slow-relay").write_text("seed = 11")
    (tmp_path / "base.toml").write_text("seed = 12")
    assert Setup.of("slow-relay", folder=tmp_path).read().seed == 11
    assert Setup.of("slow-relay").read().seed == 0
    assert Setup.of(config="base.toml", folder=tmp_path).read().seed == 12
    assert Setup.of(config=tmp_path / "base.toml").read().seed == 12


def test_personas_are_deviations() -> None:
    assert Setup.of().behaviour() == Behaviour()
    assert Setup.of(persona="hello-version-missing").behaviour() != Behaviour()
    assert Setup.of(persona=["hello-version-missing", "hello-silent"]).character[0][1] == "hello-silent"


def test_variants_change_configuration_and_behaviour() -> None:
    assert Setup.of(variant="dribble").behaviour() != Behaviour()
    both = Setup.of(variant=["dribble", "no-tickets"], persona="hello-version-missing")
    assert both.character == (("hello-version-missing",), ("dribble", "no-tickets"))
    for id_ in VARIANTS:
        read = Setup.of(variant=id_).read()
        assert (read.listen.host, read.listen.port, read.metrics.port) == ("127.0.0.1", 0, 0)


MISTAKES: list[tuple[Setup, str]] = [
    (Setup.of("none-such"), "scenario none-such: no such scenario and no such file"),
    (Setup.of(config="none.toml"), "none.toml: can't be read: No such file"),
    (Setup.of(faults=[{"kind": "dorp"}]), "config: faults[0].kind: there is no kind 'dorp'; did you mean drop?"),
    (Setup.of(faults=[{"kind": "drop", "name": "a"}] * 2), "config: faults[1].name: two faults are named a"),
    (Setup.of(variant="zzz"), "variant zzz: no such variant; cbspec simulate --list-variants lists them"),
]


def test_a_mistake_is_reported_with_the_remedy() -> None:
    for setup, message in MISTAKES:
        with pytest.raises(ConfigError, match=re.escape(message)):
            setup.check()
