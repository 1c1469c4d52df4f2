"""Learning against the simulator: the table's machine, deviations, and choices that no one is accused of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from cbspec.catalogue.requirements import Level
from cbspec.profile.profile import Profile, load
from cbspec_conformance.learning.comparison import compare
from cbspec_conformance.learning.silences import Silences
from cbspec_conformance.machines.machine import Word
from cbspec_conformance.relay.message_types.test_sequences import KNOWN
from cbspec_simulator import PERSONAS
from tests.conformance.learning.conftest import LearnRelay, learner_of, over
from tests.conformance.learning.inmemory import differences
from tests.support.processes import served


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_the_clean_simulator_has_exactly_the_machine_of_the_table(
    simulated: Profile, transport: Literal["tcp", "websocket"]
) -> None:
    parts = learner_of(over(simulated, transport))
    assert parts.machine(walks=20) == parts.known
    assert not parts.queries.breaches
    assert parts.known.names == ("new", "greeted", "authenticated as A", "authenticated as B")


_KNOWN = {name: (requirement, word) for requirement, words in KNOWN.items() for name, word in words.items()}
_IN_MEMORY = [name for name in _KNOWN if "resum" not in name][::5]


@pytest.mark.parametrize("name", ["resumption-after-tunnel-authenticates"])
def test_a_deviation_is_found_with_a_shortest_word(learned: LearnRelay, name: str) -> None:
    _, found = learned("--deviation", name)
    assert (found[0].requirement, list(found[0].word)) == _KNOWN[name]


@pytest.mark.parametrize("name", _IN_MEMORY)
def test_a_deviation_is_found_in_memory(name: str) -> None:
    first = differences(PERSONAS[name].change, walks=3)[0]
    assert (first.requirement, list(first.word)) == _KNOWN[name]


_CHOICES = [
    ["--variant=identity-dropped"],
    ["--variant=close-after-error", "--open-point=second-auth-takes-over"],
    ["--variant=reset-after-error", "--open-point=heartbeat-before-auth-unknown"],
    ["--variant=close-after-refused-auth", "--variant=malformed-closes", "--open-point=second-hello-refused"],
    ["--variant=malformed-resets", "--open-point=heartbeat-before-auth-served"],
    ["--variant=early-message-closes", "--open-point=second-hello-forgets-auth"],
    ["--variant=bad-hello-closes"],
    ["--open-point=refused-tunnel-closes"],
    ["--variant=early-message-as-invalid-token", "--open-point=second-auth-closes", "--open-point=version-echoed"],
    ["--open-point=other-versions-refused", "--open-point=tunnel-id-once-on-a-connection"],
    ["--open-point=tunnel-before-hello-as-unknown-message-type", "--open-point=close-after-unknown-type"],
    ["--open-point=unknown-type-before-auth-as-invalid-token", "--variant=malformed-as-tenant-not-found"],
]


@pytest.mark.parametrize("options", _CHOICES, ids=lambda each: "+".join(word.partition("=")[2] for word in each))
def test_a_choice_that_the_specification_leaves_is_not_accused(learned: LearnRelay, options: list[str]) -> None:
    machine, differences = learned(*options)
    assert [each for each in differences if each.level is not Level.INFO] == []
    assert differences
    assert machine.states


_TWO = '[[tenants]]\nid = "one"\n[[tenants]]\nid = "two"\ntunnel_limit = 2\n'
_COUNTING = ("hello", "auth A", "tunnel A", "tunnel to port 0", "tunnel, same id", "reconnect")


@pytest.mark.parametrize(("deviation", "requirement"), [("", ""), ("tunnel-limit-counts-refused", "CB-LIM-003")])
def test_a_small_limit_shows_as_states_that_count(tmp_path: Path, deviation: str, requirement: str) -> None:
    options = ("--deviation", deviation) if deviation else ()
    with served(tmp_path, *options, config=_TWO) as relay:
        parts = learner_of(load(relay.profile_file), *_COUNTING, tenant="two", jobs=1, patient=True)
        machine = parts.machine(walks=1)
    differences = compare(machine, parts.known, parts.conduct)
    assert (machine == parts.known) == (not deviation)
    assert [each.requirement for each in differences if each.level is Level.MUST] == [requirement] * bool(deviation)
    assert parts.known.names[-4:] == (
        "authenticated as A, 1 tunnel",
        "authenticated as A, 1 tunnel, same id",
        "authenticated as A, 2 tunnels",
        "authenticated as A, 2 tunnels, same id",
    )


_FEW = ("hello", "auth A", "tunnel A", "heartbeat", "unknown type", "KeyUpdate", "reconnect")


@pytest.mark.parametrize(
    ("deviation", "requirement", "word"),
    [
        ("key-update-refused", "CB-TLS-009", ("KeyUpdate", "hello")),
        ("heartbeat-with-tunnel-unanswered", "CB-HBT-001", ("hello", "auth A", "tunnel A", "heartbeat")),
    ],
)
def test_silence_and_new_keys_are_inputs_and_outputs(
    tmp_path: Path, deviation: str, requirement: str, word: Word
) -> None:
    with served(tmp_path, "--deviation", deviation) as relay:
        parts = learner_of(load(relay.profile_file), *_FEW, jobs=32)
        found = compare(parts.machine(walks=1), parts.known, parts.conduct)
    assert [(each.requirement, each.word) for each in found] == [(requirement, word)]


def test_a_slow_relay_that_is_taken_for_a_silent_one_at_first_is_not_accused(tmp_path: Path) -> None:
    late = '[[faults]]\nkind = "delay"\nseconds = 0.2\nwhen = { message = "heartbeat_response" }\n'
    silences = Silences()
    with served(tmp_path, config=late) as relay:
        parts = learner_of(load(relay.profile_file), *_FEW, silences=silences)
        silences.add("heartbeat", parts.queries.alphabet.tenants["A"].id)
        assert parts.machine(walks=1) == parts.known
