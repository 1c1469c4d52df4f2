"""The crowd in its short form, and how two runs are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.profile import load
from cbspec_simulator.settings.reading import load_config
from tests.endurance.crowd import Run, compared, configuration, for_the_suite, main, table


def test_a_small_crowd_makes_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    suite = ("--", "--only=CB-TUN-002", "--only=CB-BUF-001", "--only=CB-LIM-005", "--examples=2")
    assert main(["--connections", "120", "--hold", "0", "--processes", "2", *suite]) == 0
    said = capsys.readouterr().out
    assert "120 connections with a tunnel each held" in said
    assert "the same verdict on all" in said


@pytest.mark.parametrize("crowd", [0, 500])
def test_the_crowd_has_tenants_and_buffers_of_its_own(crowd: int, tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(configuration(crowd))
    config = load_config(file)
    assert config.relay.buffer_pool == 100 + crowd
    assert any(tenant.id.startswith("crowd-") for tenant in config.tenants) == bool(crowd)
    assert {"tenant-001", "tenant-rate", "tenant-inactive"} <= {tenant.id for tenant in config.tenants}


def test_the_suite_is_told_nothing_of_the_crowd(tmp_path: Path) -> None:
    told = tmp_path / "profile.toml"
    told.write_text("[relay]\nbuffer_pool = 600\n" + configuration(500).split("\n\n", 1)[1])
    profile = load(for_the_suite(told, 500))
    assert profile.relay.buffer_pool == 100
    assert not [tenant for tenant in profile.tenants if tenant.id.startswith("crowd-")]


def test_a_difference_is_named() -> None:
    without = Run({"CB-TUN-002": "passed", "CB-AUT-003": "passed"}, 10.0)
    within = Run({"CB-TUN-002": "failed", "CB-AUT-003": "passed"}, 12.0)
    assert compared(without, without) == []
    assert compared(without, within) == ["CB-TUN-002: passed without the crowd, failed within it"]
    assert table(without, within).splitlines()[1:3] == [
        "failed                   0         1",
        "passed                   2         1",
    ]


def test_more_than_the_system_allows_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--connections", "100000000"])
    assert end.value.code == 2
    assert "descriptors (ulimit -Hn) are too few for 100000000 connections" in capsys.readouterr().err
