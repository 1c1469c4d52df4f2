"""Relays that answer a word differently from time to time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.learning import queries as queries_module
from cbspec_conformance.learning.queries import Corrected, LearningStopped, NotDeterministic, PlayedWord, Queries
from cbspec_conformance.machines.machine import Word
from cbspec_conformance.probe.tcp import Unreachable
from tests.conformance.learning.conftest import learner_of

WORD = ("hello", "auth A", "heartbeat")
OUTPUTS = ("hello_response", "auth_response", "heartbeat_response")


def _played(word: Word, outputs: Word) -> PlayedWord:
    nothing: Any = None
    return PlayedWord(word, outputs[: len(word)], (), nothing)


class Scripted(Queries):
    """Queries of a relay whose answers are given."""

    def __init__(self, answers: Sequence[Word]) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, time)  # the module is a clock
        self._answers = iter(answers)

    def play(self, word: Word, *, patiently: bool = True) -> PlayedWord:
        return _played(word, next(self._answers))


ODD = (*OUTPUTS[:2], "no answer")


def test_an_odd_answer_that_never_comes_again_is_forgotten() -> None:
    queries = Scripted([OUTPUTS, ODD, *[OUTPUTS] * 5])
    assert queries.ask(WORD) == OUTPUTS
    queries.confirm(WORD, OUTPUTS)
    assert queries.ask(WORD) == OUTPUTS
    wrong = Scripted([ODD, OUTPUTS, *[OUTPUTS] * 5])
    wrong.ask(WORD)
    with pytest.raises(Corrected):
        wrong.confirm(WORD, OUTPUTS)
    assert wrong.ask(WORD) == OUTPUTS


def test_two_answers_that_both_come_again_are_shown() -> None:
    queries = Scripted([OUTPUTS, ODD, OUTPUTS, ODD, OUTPUTS, OUTPUTS, OUTPUTS])
    queries.ask(WORD)
    with pytest.raises(NotDeterministic) as found:
        queries.confirm(WORD, OUTPUTS)
    assert found.value.word == WORD
    assert str(found.value) == (
        "the relay is not deterministic: after [hello: hello_response; auth A: auth_response] heartbeat draws "
        "heartbeat_response (5 of 7), no answer (2 of 7)"
    )


def test_a_relay_that_answers_differently_one_time_in_five_ends_in_bounded_time() -> None:
    random = Random(7)  # noqa: S311 - no secret
    queries = Scripted(())
    queries.play = lambda word, **_: _played(word, ODD if random.random() < 0.2 else OUTPUTS)  # type: ignore[method-assign]
    for _ in range(200):
        try:
            queries.ask(WORD)
            queries.confirm(WORD, OUTPUTS)
        except Corrected:
            continue
        except NotDeterministic:
            return
    pytest.fail("it is still asked")


def test_the_time_ends_learning(simulated: Profile) -> None:
    parts = learner_of(simulated, end=time.monotonic() - 1)
    with pytest.raises(LearningStopped, match="--max-time"):
        parts.machine()


def test_words_at_once_that_get_no_connection_are_asked_one_by_one(
    simulated: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = learner_of(simulated, "hello", "auth A", "heartbeat")
    real = Queries._played

    def played(queries: Queries, *arguments: Any) -> PlayedWord:  # noqa: ANN401 - as above
        if queries.jobs > 1:
            raise Unreachable(simulated.target.address, "refused")
        return real(queries, *arguments)

    monkeypatch.setattr(Queries, "_played", played)
    monkeypatch.setattr(queries_module, "_PAUSE", 0.0)
    assert parts.machine(walks=1) == parts.known
