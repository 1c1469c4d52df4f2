"""The suite's options: what they come to, and what is said where one can't be used."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, cast

import pytest

from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, Effort, EffortPlan
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.runner.options import Options, add_options, read_options, read_profile


class Parser:
    """Takes note of options, as pytest's parser does."""

    def __init__(self) -> None:
        self.options: dict[str, dict[str, Any]] = {}

    def getgroup(self, *_: str) -> Parser:
        return self

    def addoption(self, name: str, **facts: Any) -> None:  # noqa: ANN401 - argparse's own
        self.options[name] = facts


class PytestConfig:
    """A command line with a few options."""

    def __init__(self, **given: object) -> None:
        parser = Parser()
        add_options(cast(pytest.Parser, parser))
        self.types = {name: facts.get("type", str) for name, facts in parser.options.items()}
        self._values = {
            name: facts.get("default", False if facts.get("action") == "store_true" else None)
            for name, facts in parser.options.items()
        }
        for name, value in given.items():
            option = f"--{name.replace('_', '-')}"
            assert option in self._values
            self._values[option] = value

    def getoption(self, name: str) -> object:
        return self._values[name]


def options(**given: object) -> Options:
    """Return the options of a command line."""
    return read_options(cast(pytest.Config, PytestConfig(**given)))


def test_nothing_asked_for_is_the_embedded_simulator() -> None:
    asked = options()
    assert asked == Options(
        None,
        None,
        None,
        (),
        0.0,
        None,
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
    assert read_profile(asked) is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8080", Endpoint("127.0.0.1", 8080)),
        ("[::1]:8080", Endpoint("::1", 8080)),
        ("relay.example:443", Endpoint("relay.example", 443)),
    ],
)
def test_a_target_is_an_address(text: str, endpoint: Endpoint) -> None:
    assert options(target=text).target == endpoint


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "relay", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0", "h:65536", ":1"]
)
def test_a_target_that_is_none_is_said_to_be_none(text: str) -> None:
    with pytest.raises(pytest.UsageError, match="--target: "):
        options(target=text)


def test_requirements_are_found_in_any_spelling_and_repeatedly() -> None:
    assert options(only=["cb-tun-004", "CB-HEL-001, CB-HEL-002"]).only == ("CB-TUN-004", "CB-HEL-001", "CB-HEL-002")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CB-TUN-0004", "CB-TUN-004"),
        ("CB-TUNN-004", "CB-TUN-004"),
        ("nonsense", "cbspec explain"),
        ("", "cbspec explain"),
        ("CB-TLS-007", "has no case: "),
    ],
)
def test_a_requirement_that_is_none_names_the_nearest(text: str, words: str) -> None:
    with pytest.raises(pytest.UsageError, match=rf"^--only: .*{words}"):
        options(only=[text])


@pytest.mark.parametrize("option", ["--wait", "--max-time"])
@pytest.mark.parametrize("text", ["-1", "inf", "nan", "soon", ""])
def test_seconds_are_seconds(option: str, text: str) -> None:
    parser = Parser()
    add_options(cast(pytest.Parser, parser))
    with pytest.raises(ArgumentTypeError, match="must be a number of seconds"):
        parser.options[option]["type"](text)
    assert parser.options[option]["type"]("2.5") == 2.5


def test_a_profile_is_read_and_completed_by_the_target(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('[target]\naddress = "127.0.0.1:1"\ntimeout = 7.0\n')
    read = read_profile(options(target_profile=str(file)))
    assert isinstance(read, Profile)
    assert (str(read.target.address), read.target.timeout) == ("127.0.0.1:1", 7.0)
    read = read_profile(options(target_profile=str(file), target="127.0.0.1:2"))
    assert isinstance(read, Profile)
    assert (str(read.target.address), read.target.timeout) == ("127.0.0.1:2", 7.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[target]\ntimeout = 7.0\n", "give target.address there, or --target host:port"),
        ('[target]\nadress = "127.0.0.1:1"\n', "address"),
        ("[target]\naddress = 7\n", "target.address"),
        ("[target", "TOML"),
    ],
)
def test_a_profile_that_can_t_be_used_names_the_file_and_the_key(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text(text)
    with pytest.raises(pytest.UsageError) as error:
        read_profile(options(target_profile=str(file)))
    assert str(file) in str(error.value)
    assert words in str(error.value)


def test_a_profile_that_isn_t_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match=r"nowhere\.toml"):
        read_profile(options(target_profile=str(tmp_path / "nowhere.toml")))


def test_another_machine_is_never_judged_by_the_development_identity() -> None:
    read = read_profile(options(target="relay.example:443"))
    assert isinstance(read, Profile)
    assert (read.tls.ca, read.tokens.development) == ("system", False)


@pytest.mark.parametrize("file", [".", "no/such/folder/results.json"])
def test_results_that_can_t_be_written_are_said_before_the_run(tmp_path: Path, file: str) -> None:
    with pytest.raises(pytest.UsageError, match=r"--results: cannot write .*; name a file"):
        options(results=str(tmp_path / file))
    assert options(results=str(tmp_path / "new.json")).results == tmp_path / "new.json"


@pytest.mark.parametrize("effort", EFFORTS.values(), ids=EFFORTS)
def test_an_effort_says_how_many_examples_and_an_option_overrides_it(effort: Effort) -> None:
    assert options(effort=effort.name).plan == EffortPlan(effort, effort.examples, 0)
    assert options(effort=effort.name, examples=7, seed=3).plan == EffortPlan(effort, 7, 3)


@pytest.mark.parametrize(
    ("option", "text"), [("--examples", text) for text in ("0", "-1", "x", "")] + [("--seed", "-1"), ("--seed", "rand")]
)
def test_counts_and_seeds_that_are_none(option: str, text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be a"):
        PytestConfig().types[option](text)


def test_a_seed_may_be_drawn() -> None:
    read = PytestConfig().types["--seed"]
    assert read("17") == 17
    assert len({read("random") for _ in range(5)}) > 1
