"""The suite's options and their errors."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, cast

import pytest

from cbspec.profile.profile import Endpoint
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, EffortPlan
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.runner.options import Options, add_options, read_options, read_profile


class PytestConfig:
    """pytest's parser and configuration, as far as the options need them."""

    def __init__(self, **given: object) -> None:
        self.types: dict[str, Any] = {}
        self._values: dict[str, object] = {}
        add_options(cast(pytest.Parser, self))
        for name, value in given.items():
            option = f"--{name.replace('_', '-')}"
            assert option in self._values
            self._values[option] = value

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


def test_the_default_is_the_embedded_simulator() -> None:
    plain = options()
    assert plain == Options(
        *(None, None, None, (), 0.0, None),
        fail_on_should=False,
        require_all=False,
        plan=EffortPlan(DEFAULT, 20, 0),
        results=None,
        fingerprint=None,
        failures=None,
        baseline=Baseline(),
        write_baseline=None,
        transcript=None,
    )
    assert read_profile(plain) is None


def test_a_target_is_an_address() -> None:
    assert options(target="[::1]:8080").target == Endpoint("::1", 8080)
    assert options(target="relay.example:443").target == Endpoint("relay.example", 443)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        *(({"target": text}, "^--target: ") for text in ("", "127.0.0.1", "h:", "h:http", "h:0", "h:65536", ":1")),
        ({"only": ["CB-TUN-0004"]}, "^--only: .*CB-TUN-004"),
        ({"only": ["nonsense"]}, "^--only: .*cbspec explain"),
        ({"only": [""]}, "^--only: .*cbspec explain"),
        ({"only": ["CB-TLS-007"]}, "^--only: .*has no case: "),
        ({"results": "."}, "--results: cannot write .*; name a file"),
        ({"results": "no/such/folder/results.json"}, "--results: cannot write .*; name a file"),
        ({"failures": "file"}, "--failures: file: File exists; name another folder"),
    ],
)
def test_an_invalid_value_is_reported(
    given: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(pytest.UsageError, match=words):
        options(**given)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *((option, text) for option in ("--wait", "--max-time") for text in ("-1", "inf", "nan", "soon", "")),
        *(("--examples", text) for text in ("0", "-1", "x", "")),
        *(("--seed", text) for text in ("-1", "rand")),
    ],
)
def test_an_invalid_number_is_reported(option: str, text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be a"):
        PytestConfig().types[option](text)


def test_numbers_are_read() -> None:
    types = PytestConfig().types
    assert (types["--wait"]("2.5"), types["--examples"]("3"), types["--seed"]("17")) == (2.5, 3, 17)
    assert len({types["--seed"]("random") for _ in range(5)}) > 1


def test_requirements_are_found_in_any_spelling() -> None:
    assert options(only=["cb-tun-004", "CB-HEL-001, CB-HEL-002"]).only == ("CB-TUN-004", "CB-HEL-001", "CB-HEL-002")


def test_a_profile_is_read_and_completed_by_the_target(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('[target]\naddress = "127.0.0.1:1"\ntimeout = 7.0\n')
    for target, address in ((None, "127.0.0.1:1"), ("127.0.0.1:2", "127.0.0.1:2")):
        read = read_profile(options(target_profile=str(file), target=target))
        assert read is not None
        assert (str(read.target.address), read.target.timeout) == (address, 7.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[target]\ntimeout = 7.0\n", "give target.address there, or --target host:port"),
        ('[target]\nadress = "127.0.0.1:1"\n', "address"),
        ("[target]\naddress = 7\n", "target.address"),
        ("[target", "TOML"),
        (None, ""),
    ],
)
def test_an_invalid_profile_is_reported_with_file_and_key(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(pytest.UsageError) as error:
        read_profile(options(target_profile=str(file)))
    assert str(file) in str(error.value)
    assert words in str(error.value)


def test_a_remote_relay_is_not_judged_by_the_development_identity() -> None:
    read = read_profile(options(target="relay.example:443"))
    assert read is not None
    assert (read.tls.ca, read.tokens.development) == ("system", False)


def test_an_effort_gives_the_number_of_examples_and_an_option_overrides_it() -> None:
    for effort in EFFORTS.values():
        assert options(effort=effort.name).plan == EffortPlan(effort, effort.examples, 0)
        assert options(effort=effort.name, examples=7, seed=3).plan == EffortPlan(effort, 7, 3)
