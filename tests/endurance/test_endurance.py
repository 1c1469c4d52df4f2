"""Short forms of crowd and soak, and how both compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.profile import load
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.reading import load_config
from tests.endurance import crowd, soak
from tests.endurance.crowd import SuiteRun
from tests.endurance.promises import PROMISES, STORMS
from tests.support.processes import Holding


def test_a_small_crowd_makes_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    suite = ("--", "--only=CB-TUN-002", "--only=CB-BUF-001", "--only=CB-LIM-005", "--examples=2")
    assert crowd.main(["--connections", "120", "--hold", "0", "--processes", "2", *suite]) == 0
    said = capsys.readouterr().out
    assert "120 connections with a tunnel each" in said
    assert "the same verdict on all" in said


def test_the_crowd_has_tenants_and_buffers_that_the_suite_does_not_see(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    for size in (0, 500):
        file.write_text(crowd.configuration(size))
        config = load_config(file)
        assert config.relay.buffer_pool == 100 + size
        assert any(tenant.id.startswith("crowd-") for tenant in config.tenants) == bool(size)
        assert {"tenant-001", "tenant-rate", "tenant-inactive"} <= {tenant.id for tenant in config.tenants}
    profile = load(crowd.suite_profile(file, 500))
    assert profile.relay.buffer_pool == 100
    assert not [tenant for tenant in profile.tenants if tenant.id.startswith("crowd-")]


def test_a_different_verdict_is_named() -> None:
    without = SuiteRun({"CB-TUN-002": "passed", "CB-AUT-003": "passed"}, 10.0)
    within = SuiteRun({"CB-TUN-002": "failed", "CB-AUT-003": "passed"}, 12.0)
    assert crowd.compared(without, without) == []
    assert crowd.compared(without, within) == ["CB-TUN-002: passed without the crowd, failed with it"]


def test_too_many_connections_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        crowd.main(["--connections", "100000000"])
    assert end.value.code == 2
    assert "too few for 100000000 connections" in capsys.readouterr().err


def test_a_short_soak_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    # The relay is still warming up, so only fast leaks are found.
    code = soak.main(["--seconds", "8", "--seed", "5", "--memory", "8192"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "'served'" in said


def test_promises_and_storms_are_faults() -> None:
    for promise in PROMISES:
        assert Fault.read(promise.fault("a-name", "a-subject")).name == "a-name"
    for storm in STORMS:
        Fault.read({"name": "storm", **storm})


def samples(*held: tuple[float, int, int]) -> list[tuple[Holding, int]]:
    return [(Holding(memory, descriptors, 0.0), tasks) for memory, descriptors, tasks in held]


def test_growth_is_distinguished_from_warming_up_and_peaks() -> None:
    warming, peak, rest = (10.0, 5, 3), (99.0, 12, 6), (90.0, 9, 4)
    resting = samples(warming, warming, warming, warming, rest, peak, peak, (90.5, 9, 4))
    assert soak.growth(resting, 1.0) == []
    for last, text in (
        ((92.5, 9, 4), "memory in KiB grew from 90 to 92"),
        ((90.0, 10, 4), "descriptors grew from 9 to 10"),
        ((90.0, 9, 5), "tasks grew from 4 to 5"),
    ):
        assert soak.growth(samples(*[rest] * 6, last, last), 1.0) == [text]
