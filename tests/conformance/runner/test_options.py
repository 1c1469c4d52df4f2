"""The suite's options and their errors."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.profile.profile import Endpoint
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, EffortPlan
from cbspec_conformance.runner.options import Options, add_options, free_endpoint, read_options, read_profile


class PytestConfig:
    """pytest's parser and configuration, as far as the options need them."""

    def __init__(self, **given: object) -> None:
        self.types: dict[str, Any] = {}
        self.option = SimpleNamespace(junit=None)
        self._values: dict[str, object] = {}
        self.option = SimpleNamespace(junit=None, xmlpath=None)
        add_options(cast(pytest.Parser, self))
        self._values |= {f"--{name.replace('_', '-')}": value for name, value in given.items()}

    def getgroup(self, *_: str) -> PytestConfig:
        return self

    def addoption(self, name: str, **facts: Any) -> None:  # noqa: ANN401 - argparse's own
        self.types[name] = facts.get("type", str)
        self._values[name] = facts.get("default", False if facts.get("action") == "store_true" else None)

    def getoption(self, name: str) -> object:
        return self._values[name]


def options(**given: object) -> Options:
    """Return the options of a command line."""
    return read_options(cast(pytest.Config, PytestConfig(**given)))


def test_values_are_read_and_defaults_stand_for_the_embedded_simulator() -> None:
    plain = options()
    assert (plain.plan, plain.only, read_profile(plain)) == (EffortPlan(DEFAULT, 20, 0), (), None)
    assert options(target="[::1]:8080").target == Endpoint("::1", 8080)
    assert options(only=["cb-tun-004", "CB-HEL-001, CB-HEL-002"]).only == ("CB-TUN-004", "CB-HEL-001", "CB-HEL-002")
    for effort in EFFORTS.values():
        assert options(effort=effort.name, examples=7, seed=3).plan == EffortPlan(effort, 7, 3)
    chosen = options(chapter=["tun", "CB-HEL"], level=["info"]).only
    assert chosen == tuple(r.id for r in REQUIREMENTS.values() if r.chapter in ("TUN", "HEL") and r.level == "INFO")
    types = PytestConfig().types
    assert (types["--wait"]("2.5"), types["--examples"]("3"), types["--seed"]("17")) == (2.5, 3, 17)
    assert len({types["--seed"]("random") for _ in range(5)}) > 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"only": ["CB-TUN-0004"]}, "^--only: .*CB-TUN-004"),
        ({"chapter": ["TUN,TNU"]}, "^--chapter: there is no 'TNU'; the chapters are HEL, "),
        ({"only": ["CB-HEL-001"], "chapter": ["TUN"]}, "^no requirement is selected"),
        ({"ca": "system"}, "^--ca and --token-file need a relay"),
        ({"ca": "absent.pem", "target": "127.0.0.1:1"}, "^--ca: absent.pem: No such file"),
        ({"token_file": "file", "target": "127.0.0.1:1"}, "^file contains no token"),
        ({"only": [""]}, "^--only: .*cbspec explain"),
        ({"only": ["CB-ROB-103"]}, "^--only: .*has no case: "),
        ({"results": "."}, "--results: cannot write .*; name a file"),
        ({"results": "no/such/folder/results.json"}, "--results: cannot write .*; name a file"),
        ({"failures": "file"}, "--failures: file: File exists; name another folder"),
        ({"baseline": "absent"}, "--baseline: absent: "),
        ({"target_profile": "file"}, "file: give target.address there, or --target host:port"),
        ({"target_profile": "absent"}, "absent"),
    ],
)
def test_an_invalid_value_is_reported(
    given: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(pytest.UsageError, match=words):
        read_profile(options(**given))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *((option, text) for option in ("--wait", "--max-time") for text in ("-1", "inf", "soon")),
        *(("--examples", text) for text in ("0", "x", "")),
        ("--seed", "-1"),
        *(("--target", text) for text in ("", "h:65536", ":1")),
    ],
)
def test_an_invalid_number_is_reported(option: str, text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be"):
        PytestConfig().types[option](text)


def test_a_profile_is_read_and_completed_by_the_target(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('[target]\naddress = "127.0.0.1:1"\ntimeout = 7.0\n')
    for target, address in ((None, "127.0.0.1:1"), ("127.0.0.1:2", "127.0.0.1:2")):
        read = read_profile(options(target_profile=str(file), target=target))
        assert read is not None
        assert (str(read.target.address), read.target.timeout) == (address, 7.0)


def test_a_free_port_is_one_that_no_outgoing_connection_gets_meanwhile() -> None:
    assert {free_endpoint().port in range(20_000, 32_768) for _ in range(20)} == {True}
