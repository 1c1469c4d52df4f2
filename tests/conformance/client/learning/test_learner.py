"""Learning of modelled clients: the exact machine, few runs, and an answer to which the reaction varies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple

import pytest

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.learning.answers import ANEW, OK, OVER, letters, step_of
from cbspec_conformance.client.learning.conduct import ClientConduct
from cbspec_conformance.client.learning.learner import ClientLearner
from cbspec_conformance.client.learning.queries import ClientQueries, ClientRuns
from cbspec_conformance.client.situations import STEPS
from cbspec_conformance.learning.progress import LearningProgress
from cbspec_conformance.machines.machine import Machine, Word, machine_of

_STEPS: Final = tuple(STEPS)
_FATAL: Final = ("error invalid_token", "error tenant_limit_exceeded", "error maintenance_window")
_ENDS: Final = "ends, code 1"


class ServicePlace(NamedTuple):
    """A state of the modelled client: the request that was sent, and the failed attempts ("": it has ended)."""

    step: str = "hello"
    failed: int = 0


Step = Callable[[ServicePlace, str], tuple[str, ServicePlace]]


def service(retries: int) -> Step:
    """Return the steps of a service that connects again after failures that may pass."""
    known = letters()

    def step(place: ServicePlace, name: str) -> tuple[str, ServicePlace]:
        if not place.step:
            return OVER, place
        if name == OK.name or place.step not in known[name].steps:
            then = _STEPS[min(3, _STEPS.index(place.step) + 1)]
            return then, place._replace(step=then)
        if name in _FATAL or place.failed == retries:
            return _ENDS, ServicePlace("")
        return f"hello{ANEW}", ServicePlace("hello", place.failed + 1)

    return step


class ModelledClient(ClientQueries):
    """Queries of a client that is a function. `batches` counts the times that clients were started."""

    def __init__(self, step: Step, names: Sequence[str] = ()) -> None:
        runs = ClientRuns(ClientProfile(command=("true",)), "tcp", pause=3.0)
        super().__init__(runs, letters(names), time)
        self.first, self.habits, self.batches = "hello", Habits(counts=dict.fromkeys(_STEPS, 1)), 0
        self._step = step

    def _run_all(self, words: Sequence[Word], *, patiently: bool = False) -> Sequence[Word]:
        self.batches += 1
        self.made += len(words)
        return [self._outputs(word) for word in words]

    def _outputs(self, word: Word) -> Word:
        place, outputs = ServicePlace(), []
        for name in word:
            output, place = self._step(place, name)
            outputs.append(output)
        return tuple(outputs)


def learned(queries: ModelledClient) -> tuple[Machine, ClientLearner]:
    """Learn a modelled client, which breaks nothing."""
    learner = ClientLearner(queries, LearningProgress(), declares=False)
    machine, differences = learner.machine()
    assert differences == []
    return machine, learner


@pytest.mark.parametrize(("retries", "runs", "batches"), [(0, 60, 18), (1, 220, 27), (3, 450, 40), (5, 700, 50)])
def test_a_client_is_learned_exactly_with_few_runs_of_which_many_are_at_once(
    retries: int, runs: int, batches: int
) -> None:
    queries = ModelledClient(service(retries))
    machine, _ = learned(queries)
    assert machine == machine_of(queries.names, ServicePlace(), service(retries))
    assert len(machine.states) == 4 * (retries + 1) + 1
    assert {"hello sent", "over"} <= {name.partition(" (")[0] for name in machine.names}
    assert queries.made < runs
    assert queries.batches < batches


def test_an_answer_to_which_the_client_reacts_differently_is_left_out() -> None:
    random, steps = Random(3), service(1)  # noqa: S311 - no secret

    def varying(place: ServicePlace, name: str) -> tuple[str, ServicePlace]:
        return steps(place, OK.name if name == "reset" and random.random() < 0.4 else name)

    queries = ModelledClient(varying, ["error server_unavailable", "reset"])
    machine, learner = learned(queries)
    assert list(learner.left_out) == ["reset"]
    assert "the client is not deterministic" in learner.left_out["reset"]
    assert machine == machine_of(("ok", "error server_unavailable"), ServicePlace(), steps)


_WORDS: Final[Sequence[tuple[str, str, str]]] = [
    # requirement, answers, outputs
    ("CC-REF-001", "error server_unavailable", "auth"),
    ("CC-REF-008", "error maintenance_window", "auth"),
    ("CC-REF-002", "ok|error invalid_token", "auth|tunnel_info"),
    ("CC-REF-002", "ok|error invalid_token", "auth|heartbeat"),
    ("CC-REF-007", "ok|status error", "auth|tunnel_info"),
    ("CC-BRK-002", "ok|malformed", "auth|tunnel_info"),
    ("CC-BRK-004", "unknown type", "auth"),
    ("CC-BRK-008", "ok|ok|other tunnel_id", "auth|tunnel_info|heartbeat"),
    ("CC-REF-006", "error server_unavailable", "ends, SIGABRT"),
    ("CC-ERR-002", "close", "ends, code 0"),
    ("CC-REF-005", "error invalid_token", "waits"),
    ("CC-BRK-012", "ok|malformed", "auth|waits"),
    ("CC-SIL-003", "ok|no answer", "auth|waits"),
    ("CC-RTY-003", "ok|error invalid_token|ok", f"auth|hello{ANEW}|auth"),
    ("CC-RTY-003", "error invalid_token", f"hello{ANEW}"),
    ("CC-RTY-003", "ok|error invalid_token", "auth|auth"),
    ("CC-RTY-003", "ok|ok|error invalid_token|ok", "auth|tunnel_info|heartbeat|tunnel_info"),
    ("CC-REC-003", "ok|ok|ok|close|ok|ok", f"auth|tunnel_info|heartbeat|hello{ANEW}|auth|heartbeat"),
    ("", "ok|ok|ok|close|ok|ok|ok", f"auth|tunnel_info|heartbeat|hello{ANEW}|auth|tunnel_info|heartbeat"),
    ("", "ok|ok|close|ok|ok", f"auth|tunnel_info|hello{ANEW}|auth|heartbeat"),  # it was never up
    ("", "status error|ok", "auth|tunnel_info"),  # a hello_response has no status
    ("", "ok|ok|error tenant_limit_exceeded|ok", "auth|tunnel_info|heartbeat|heartbeat"),
    ("", "ok|ok|error invalid_token", "auth|tunnel_info|tunnel_info, another tunnel_id"),
    ("", "ok|error invalid_token", "auth|auth, another token"),
    ("", "ok|error server_unavailable|ok", f"auth|hello{ANEW}|auth"),
    ("", "error server_unavailable", f"auth{ANEW}"),
    ("", "ok|ok|malformed", "auth|tunnel_info|waits"),
    ("", "ok|ok|ok|malformed|malformed", "auth|tunnel_info|heartbeat|heartbeat|heartbeat"),
    ("", "ok and more|malformed", "auth|tunnel_info"),  # it takes the unasked message for the answer
    ("", "ok|close", "auth|waits without a connection"),
    ("", "ok|ok|ok", "auth|tunnel_info|ends, code 0"),
]


@pytest.mark.parametrize(("requirement", "answers", "outputs"), _WORDS)
def test_only_what_leaves_no_choice_is_a_breach(requirement: str, answers: str, outputs: str) -> None:
    names = answers.split("|")
    conduct = ClientConduct(
        letters(names), Habits(), ("hello", "auth", "tunnel_info", "heartbeat", "heartbeat"), declares=True
    )
    standing, found = conduct.start, []
    for name, output in zip(names, outputs.split("|"), strict=True):
        breach, standing = conduct.judge(standing, name, output)
        found.append(breach)
    assert found == [*[""] * (len(names) - 1), requirement]
    assert standing.over is (not step_of(output) and output != "waits")
