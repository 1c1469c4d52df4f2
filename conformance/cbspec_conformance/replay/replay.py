"""Replays failures: first the recorded steps, then the whole case if the steps do not show the failure.

So the verdict "fixed" never rests on steps that lack the cause of the failure. A case runs in a process of its own; the
case of a learned machine is its sequence of inputs.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Endpoint, Profile
from cbspec.profile.target import Transport
from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.failures.failure import PREFLIGHT, Failure
from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.verdicts import BROKEN, PARTIAL, Outcome, Verdict, judge_run
from cbspec_conformance.learning.queries import LearningStopped
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.learning.words import play_again
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.render import folded
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.replay import standalone
from cbspec_conformance.replay.script import FailureScript
from cbspec_conformance.reporting.stream import RecordedRun
from cbspec_conformance.target.connector import Connector, LifeSigns
from cbspec_conformance.target.preflight import NoTarget
from cbspec_conformance.target.tokens import TokenSource

_TENANT: Final = "--tenant="


class ReplayVerdict(StrEnum):
    """Whether the failure still occurs."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A verdict, its reason and the exchange as text."""

    verdict: ReplayVerdict
    reason: str
    exchange: str = ""


def rerun(failures: Sequence[Failure], target: Sequence[str]) -> list[ReplayOutcome]:
    """Run the cases of all failures and return the outcome of each; `target` are the options that name the relay.

    Failures with the same options share a run.
    """
    groups = defaultdict[tuple[tuple[str, ...], bool], list[int]](list)
    for index, failure in enumerate(failures):
        groups[failure.options, failure.case == PREFLIGHT].append(index)
    found: dict[int, ReplayOutcome] = {}
    for indices in groups.values():
        together = [failures[index] for index in indices]
        results = _run([*target, *_arguments(together)])
        if isinstance(results, str) and len(together) > 1:  # a single missing case stops the whole run
            found |= {index: rerun([failures[index]], target)[0] for index in indices}
        else:
            found |= {index: _outcome(failures[index], results) for index in indices}
    return [found[index] for index in range(len(failures))]


def _arguments(failures: Sequence[Failure]) -> list[str]:
    if failures[0].case == PREFLIGHT:  # any case of the requirement runs the preflight
        only = dict.fromkeys(f"--only={failure.requirement}" for failure in failures)
        names = [str(SUITE), "--own-cases", *only]
    else:
        names = [f"{SUITE}/{name}" for name in dict.fromkeys(failure.case for failure in failures)]
    return [*failures[0].options, *names]


def _run(arguments: Sequence[str]) -> Sequence[Verdict] | str:
    """Return the verdicts of a run of the suite, or the reason why no case ran."""
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        file = Path(folder) / "results.jsonl"
        command = [sys.executable, "-P", "-m", "pytest", *PYTEST_OPTIONS, "-q", "--results", str(file)]
        done = subprocess.run([*command, *arguments], capture_output=True, check=False)  # noqa: S603 - our own
        if done.returncode in (0, 1, ExitCode.NOTHING_TO_JUDGE) and file.exists():
            run = RecordedRun.load(file)
            if run.ended is not None and not run.ended.reason:
                return run.verdicts
    output = [line for line in (done.stdout + done.stderr).decode(errors="replace").splitlines() if line.strip()]
    missing = any(line.startswith(("ERROR: not found", "ERROR: file or directory not found")) for line in output)
    return "this kit has no such case" if missing else (output or ["no output"])[-1]


def _outcome(failure: Failure, verdicts: Sequence[Verdict] | str) -> ReplayOutcome:
    if isinstance(verdicts, str):
        return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case cannot run again: {verdicts}")
    found = {verdict.requirement.id: verdict.findings for verdict in verdicts}
    own = found.get(failure.requirement, ())
    for finding in sorted(own, key=lambda each: each.case != failure.case):
        if finding.outcome in BROKEN:
            case = "its case" if finding.case == failure.case else f"another case of its requirement, {finding.case},"
            seen = f"{case} fails: expected {finding.expected}; seen: {finding.seen}"
            return ReplayOutcome(ReplayVerdict.FAILING, seen, finding.exchange)
    of_case = [finding for each in found.values() for finding in each if finding.case == failure.case]
    findings = [finding for finding in own if finding.reason != PARTIAL] if failure.case == PREFLIGHT else of_case
    if findings and all(finding.outcome is Outcome.PASSED for finding in findings):
        return ReplayOutcome(ReplayVerdict.FIXED, "its case passes")
    reason = next((finding.reason for finding in findings if finding.reason), "it did not finish")
    return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case: {reason}")


def play_words(failures: Sequence[Failure], profile: Profile) -> list[ReplayOutcome]:
    """Play the sequences of failures that learning found, and return the outcome of each."""
    settings: dict[tuple[str, ...], LearningSetting] = {}
    outcomes = []
    for failure in failures:
        try:
            if failure.options not in settings:
                transport: Transport = "websocket" if failure.transport == "websocket" else "tcp"
                over = replace(profile, target=replace(profile.target, transport=transport))
                tenants = [each.removeprefix(_TENANT) for each in failure.options if each.startswith(_TENANT)]
                settings[failure.options] = LearningSetting(over, tenant=next(iter(tenants), ""))
            findings = play_again(failure.case, failure.requirement, settings[failure.options])
        except (CommandError, LearningStopped, NotExercised, NoTarget) as error:
            outcomes.append(_outcome(failure, str(error)))
        else:
            outcomes.append(_outcome(failure, judge_run(REQUIREMENTS, findings, ())))
    return outcomes


_NO_STEPS = ReplayOutcome(ReplayVerdict.UNCLEAR, "the failure has no steps that can be played without its case")


def play(failure: Failure, profile: Profile, script: Path) -> ReplayOutcome:
    """Play a failure's steps on a relay with a script, which is written to the file `script`."""
    if failure.expectation is None or failure.steps is None:
        return _NO_STEPS
    source = TokenSource(profile, Issuer(profile.tokens, time.time), Recipes(), lambda: _certificate(profile))
    try:
        code, output = FailureScript(failure, failure.expectation, source, profile).run(script)
    except (Inconclusive, NotExercised) as error:
        return ReplayOutcome(ReplayVerdict.UNCLEAR, str(error))
    exchange = "\n".join(folded(output[:-1], output))
    if code == standalone.PRESENT:
        seen = f"as recorded, expected {failure.expected}; seen: {failure.seen}"
        return ReplayOutcome(ReplayVerdict.FAILING, seen, exchange)
    if code == standalone.ABSENT:
        return ReplayOutcome(ReplayVerdict.FIXED, "the steps no longer show it", exchange)
    return ReplayOutcome(ReplayVerdict.UNCLEAR, output[-1].removeprefix("can't tell: "), exchange)


def _certificate(profile: Profile) -> bytes:
    """Return the certificate of the relay's TLS, or none if no connection shows it."""
    connector = Connector(profile, Transcript(time), LifeSigns())
    with contextlib.suppress(Unreachable, HandshakeFailure):
        connector.open(profile.target.address or Endpoint("", 0), "tcp", usual=False).close(0.0)
    return connector.certificate


def replay(failures: Sequence[Failure], profile: Profile, options: Sequence[str]) -> list[ReplayOutcome]:
    """Return whether each failure still occurs. `options` are the suite's options that name the relay.

    Raises Unreachable.
    """
    if profile.target.address is not None:
        tcp_connect(profile.target.address, None, profile.target.timeout).close()
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        outcomes = [play(failure, profile, Path(folder) / "failure.py") for failure in failures]
    left = [index for index, outcome in enumerate(outcomes) if outcome.verdict is not ReplayVerdict.FAILING]
    words = iter(play_words([each for index in left if (each := failures[index]).of_a_machine], profile))
    cases = iter(rerun([each for index in left if not (each := failures[index]).of_a_machine], options))
    for index in left:
        case = next(words if failures[index].of_a_machine else cases)
        both_unclear = case.verdict is outcomes[index].verdict is ReplayVerdict.UNCLEAR
        if not both_unclear or outcomes[index] is _NO_STEPS:  # the steps give the more specific reason
            outcomes[index] = case
    after = _after_earlier_cases(failures, outcomes, options)
    return [after.get(index, outcome) for index, outcome in enumerate(outcomes)]


def _after_earlier_cases(
    failures: Sequence[Failure], outcomes: Sequence[ReplayOutcome], options: Sequence[str]
) -> dict[int, ReplayOutcome]:
    """Return the outcomes of failures that don't show alone, but may show after the cases before theirs.

    The whole selection of a run is run again, once for all failures of that run.
    """
    runs: dict[tuple[object, ...], Sequence[Verdict] | str] = {}
    found: dict[int, ReplayOutcome] = {}
    for index, (failure, alone) in enumerate(zip(failures, outcomes, strict=True)):
        if alone.verdict is not ReplayVerdict.FIXED or not failure.earlier:
            continue
        before = f"{failure.earlier} cases ran before its own, on which it may depend"
        if failure.narrowed:
            reason = f"it passes alone, but {before}: run the suite again with the same selectors"
            found[index] = ReplayOutcome(ReplayVerdict.UNCLEAR, reason)
            continue
        arguments = (*failure.options, *(f"--only={each}" for each in failure.only), str(SUITE))
        if arguments not in runs:
            runs[arguments] = _run([*options, *arguments])
        outcome = _outcome(failure, runs[arguments])
        reasons = {
            ReplayVerdict.FIXED: "its case passes, alone and after the cases before it",
            ReplayVerdict.FAILING: f"after the cases before it {outcome.reason}",
            ReplayVerdict.UNCLEAR: f"it passes alone, but {before}, and after them {outcome.reason}",
        }
        found[index] = replace(outcome, reason=reasons[outcome.verdict])
    return found


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
