"""The verdicts of learning that ended early."""

from __future__ import annotations

import argparse
import time

import pytest

from cbspec.exit_codes import ExitCode
from cbspec.profile.profile import Profile
from cbspec_conformance.judging.verdicts import TIME_UP
from cbspec_conformance.learning.command import configure, learning_options
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.learning.results import LearnedRelay, LearningResults
from cbspec_conformance.learning.setting import LearningSetting


@pytest.mark.parametrize(
    ("stopped", "interrupted", "tried", "code", "words"),
    [
        (TIME_UP, False, ("CB-TUN-003", "CB-HEL-001"), ExitCode.NOT_CONFORMING, "by --max-time: 2 requirements are"),
        (TIME_UP, False, (), ExitCode.NOTHING_TO_JUDGE, "nothing was judged"),
        ("it is odd", False, ("CB-TUN-003",), ExitCode.NOT_CONFORMING, "without a verdict: CB-TUN-003"),
        ("stopped", True, ("CB-TUN-003",), ExitCode.INTERRUPTED, "the run was interrupted"),
    ],
)
def test_learning_that_ends_early_passes_nothing(
    simulated: Profile, stopped: str, interrupted: bool, tried: tuple[str, ...], code: ExitCode, words: str
) -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    setting = LearningSetting(simulated)
    results = LearningResults(learning_options(parser.parse_args([])), setting, None, time.time())
    results.begin()
    lines: list[str] = []
    learned = LearnedRelay(
        None, stopped, [], 3, 9, 1.0, table=reference(setting.alphabet), cases=[], tried=tried, interrupted=interrupted
    )
    assert results.end(learned, lambda text, **markup: lines.append(text)) is code
    assert words in " ".join(" ".join(lines).split())
    assert lines[-1].startswith("0 passed, ")
