"""Learning against the simulator: the table's machine, deviations, and choices that no one is accused of."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import Level
from cbspec.profile.profile import Profile, load
from cbspec_conformance.judging.verdicts import TIME_UP
from cbspec_conformance.learning import command
from cbspec_conformance.learning.comparison import compare
from cbspec_conformance.learning.learner import Propose
from cbspec_conformance.learning.queries import LearningStopped, Queries
from cbspec_conformance.learning.silences import Silences
from cbspec_conformance.machines.machine import Difference, Machine, Word
from cbspec_conformance.relay.message_types.test_sequences import KNOWN
from cbspec_conformance.reporting.stream import RecordedRun
from cbspec_simulator import OPEN_POINTS, PERSONAS, VARIANTS
from cbspec_simulator.variations.parts import both
from tests.conformance.learning.conftest import LearnRelay, learner_of
from tests.conformance.learning.inmemory import differences
from tests.support.few import few
from tests.support.processes import served


def test_the_clean_simulator_has_exactly_the_machine_of_the_table(simulated: Profile) -> None:
    parts = learner_of(replace(simulated, target=replace(simulated.target, transport="websocket")))
    assert parts.machine(walks=20) == parts.known
    assert not parts.queries.breaches
    assert parts.known.names == ("new", "greeted", "authenticated as A", "authenticated as B")


_KNOWN = {name: (requirement, word) for requirement, words in KNOWN.items() for name, word in words.items()}
_IN_MEMORY = [name for name in _KNOWN if "resum" not in name][::5]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["resumption-after-tunnel-authenticates"])
def test_a_deviation_is_found_with_a_shortest_word(learned: LearnRelay, name: str) -> None:
    _, found = learned("--deviation", name)
    assert (found[0].requirement, list(found[0].word)) == _KNOWN[name]


@pytest.mark.parametrize("name", few(_IN_MEMORY, 4))
def test_a_deviation_is_found_in_memory(name: str) -> None:
    first = differences(PERSONAS[name].change, walks=3)[0]
    assert (first.requirement, list(first.word)) == _KNOWN[name]


_FREE = {**VARIANTS, **OPEN_POINTS}
_CHOICES = [
    ("identity-dropped",),
    ("reset-after-error", "heartbeat-before-auth-unknown"),
    ("close-after-refused-auth", "malformed-closes", "second-hello-refused"),
    ("malformed-resets", "heartbeat-before-auth-served"),
    ("early-message-closes", "second-hello-forgets-auth"),
    ("bad-hello-closes",),
    ("refused-tunnel-closes",),
    ("early-message-as-invalid-token", "second-auth-closes", "version-echoed"),
    ("tunnel-before-hello-as-unknown-message-type", "close-after-unknown-type"),
    ("unknown-type-before-auth-as-invalid-token", "malformed-as-tenant-not-found"),
]


def _accused(found: list[Difference]) -> list[Difference]:
    assert found
    return [each for each in found if each.level is not Level.INFO]


@pytest.mark.parametrize("names", few(_CHOICES, 3), ids="+".join)
def test_a_choice_that_the_specification_leaves_is_not_accused(names: tuple[str, ...]) -> None:
    assert _accused(differences(both(*(_FREE[name].change for name in names)), walks=3)) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["second-auth-takes-over", "tunnel-id-once-on-a-connection"])
def test_a_choice_is_not_accused_over_sockets(learned: LearnRelay, point: str) -> None:
    _, found = learned("--variant=close-after-error", f"--open-point={point}")
    assert _accused(found) == []


_TWO = '[[tenants]]\nid = "one"\n[[tenants]]\nid = "two"\ntunnel_limit = 2\n'
_COUNTING = ("hello", "auth A", "tunnel A", "tunnel to port 0", "tunnel, same id", "reconnect")


@pytest.mark.parametrize(
    ("deviation", "requirement"),
    [("tunnel-limit-counts-refused", "CB-LIM-003"), pytest.param("", "", marks=pytest.mark.slow)],
)
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


def test_a_tenant_whose_list_lacks_the_address_may_be_refused(tmp_path: Path) -> None:
    config = '[[tenants]]\nid = "one"\n[[tenants]]\nid = "two"\nallowed_addresses = ["192.0.2.0/24"]\n'
    with served(tmp_path, config=config) as relay:
        parts = learner_of(load(relay.profile_file), "hello", "auth A", "tunnel A", tenant="two")
        found = compare(parts.machine(walks=1), parts.known, parts.conduct)
    (first, *others) = found
    assert (first.requirement, first.word, first.level) == ("CB-ADR-101", ("hello", "auth A"), Level.INFO)
    assert not [each for each in others if each.level is not Level.INFO]


@pytest.mark.parametrize(
    "limit",
    [
        '[[tenants]]\nid = "one"\nrate = { per_second = 200.0, burst = 5, scope = "tenant" }\n',
        "[relay]\nconnection_limit = 2\n",
    ],
)
def test_an_undeclared_limit_only_slows_learning_down(tmp_path: Path, limit: str) -> None:
    with served(tmp_path, config=limit) as relay:
        profile = load(relay.profile_file)
        tenants = tuple(replace(each, rate=None) for each in profile.tenants)
        undeclared = replace(profile, tenants=tenants, relay=replace(profile.relay, connection_limit=None))
        parts = learner_of(undeclared, "hello", "auth A", "heartbeat")
        assert parts.machine(walks=1) == parts.known


def test_a_breach_in_a_long_word_is_shown_in_a_short_one_when_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(queries: Queries, known: Machine, propose: Propose, **options: object) -> Machine:
        queries.ask(("hello", "heartbeat", "unknown type", "tunnel A"))
        greeted = known.names.index("greeted")
        propose(replace(known, edges={**known.edges, (greeted, "tunnel A"): ("tunnel_response", greeted)}))
        raise LearningStopped(TIME_UP)

    monkeypatch.setattr(command, "learn", stopped)
    parser = argparse.ArgumentParser()
    command.configure(parser)
    with served(tmp_path, "--deviation", "tunnel-before-auth") as relay:
        given = ["--profile", str(relay.profile_file), "--results", str(tmp_path / "x.jsonl"), "--max-time", "99"]
        assert command.run(parser.parse_args(given)) == 1
    machine = RecordedRun.load(tmp_path / "x.jsonl").machine
    assert machine is not None
    assert machine.differences[0].requirement == "CB-TUN-003"
    assert machine.differences[0].word == ("hello", "tunnel A")


def test_a_wrong_signature_is_that_of_the_last_good_token(simulated: Profile) -> None:
    word = ("hello", "auth, wrong signature", "auth A", "reconnect", "auth, wrong signature")
    played = learner_of(simulated).queries.play(word)
    made = [str(each.request.member("token")) for each in played.exchanges if each and each.request]
    other, good, bad = (token.rpartition(".") for token in made if token.count(".") == 2)
    assert other[0] != good[0] == bad[0]
    assert good[2] != bad[2]


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
