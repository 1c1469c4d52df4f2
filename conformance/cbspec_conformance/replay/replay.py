"""Replays failures: first the recorded steps, then the whole case if the steps do not show the failure.

So the verdict "fixed" never rests on steps that lack the cause of the failure.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import tcp_connect
from cbspec_conformance.replay import standalone
from cbspec_conformance.replay.rerun import ReplayOutcome, ReplayVerdict, rerun
from cbspec_conformance.replay.script import FailureScript
from cbspec_conformance.target.tokens import TokenSource

_NO_STEPS = ReplayOutcome(ReplayVerdict.UNCLEAR, "the failure has no steps that can be played without its case")


def play(failure: Failure, profile: Profile, script: Path) -> ReplayOutcome:
    """Play a failure's steps on a relay with a script, which is written to the file `script`."""
    if failure.expectation is None or failure.steps is None:
        return _NO_STEPS
    source = TokenSource(profile, Issuer(profile.tokens, time.time), Recipes())
    try:
        code, output = FailureScript(failure, failure.expectation, source, profile).run(script)
    except (Inconclusive, NotExercised) as error:
        return ReplayOutcome(ReplayVerdict.UNCLEAR, str(error))
    exchange = "\n".join(output[:-1])
    if code == standalone.PRESENT:
        seen = f"expected {failure.expected}; seen: {failure.seen}"
        return ReplayOutcome(ReplayVerdict.FAILING, seen, exchange)
    if code == standalone.ABSENT:
        return ReplayOutcome(ReplayVerdict.FIXED, "the steps no longer show it", exchange)
    return ReplayOutcome(ReplayVerdict.UNCLEAR, output[-1].removeprefix("can't tell: "), exchange)


def replay(failures: Sequence[Failure], profile: Profile, options: Sequence[str]) -> list[ReplayOutcome]:
    """Return whether each failure still occurs. `options` are the suite's options that name the relay.

    Raises Unreachable.
    """
    if profile.target.address is not None:
        tcp_connect(profile.target.address, None, profile.target.timeout).close()
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        outcomes = [play(failure, profile, Path(folder) / "failure.py") for failure in failures]
    left = [index for index, outcome in enumerate(outcomes) if outcome.verdict is not ReplayVerdict.FAILING]
    for index, case in zip(left, rerun([failures[index] for index in left], options), strict=True):
        both_unclear = case.verdict is outcomes[index].verdict is ReplayVerdict.UNCLEAR
        if not both_unclear or outcomes[index] is _NO_STEPS:  # the steps give the more specific reason
            outcomes[index] = case
    return outcomes


def export(failure: Failure, profile: Profile, file: Path) -> str:
    """Write a script that shows a failure on a relay; return "", or the reason why there is none. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        script = Path(folder) / "failure.py"
        outcome = play(failure, profile, script)
        if outcome.verdict is ReplayVerdict.FAILING:
            shutil.copy(script, file)
            return ""
    if outcome is _NO_STEPS:
        return outcome.reason
    return f"a script does not show the failure on this relay: {outcome.reason}"
