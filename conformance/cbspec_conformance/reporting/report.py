"""The report on the terminal: failures with their exchanges, then a table of the requirements by chapter."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cbspec.catalogue.requirements import CHAPTERS, REVISION, SET
from cbspec.exit_codes import ExitCode
from cbspec.profile.profile import Profile
from cbspec_conformance.judging.verdicts import UNFINISHED, Outcome, Verdict, is_green, spoils
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.target.facts import Facts

_COLUMNS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.WARNED: "warned",
    Outcome.INCONCLUSIVE: "inconcl.",
    Outcome.NOT_EXERCISED: "not ex.",
    Outcome.OBSERVED: "observed",
    Outcome.KNOWN: "known",
    Outcome.FOLLOW_UP: "follows",
}
_COLOURS: dict[Outcome, dict[str, bool]] = {
    Outcome.FAILED: {"red": True, "bold": True},
    Outcome.INCONCLUSIVE: {"yellow": True, "bold": True},
    Outcome.WARNED: {"yellow": True},
}
_IF_ANY = (Outcome.KNOWN, Outcome.FOLLOW_UP)
_MOST_OBSERVED = 12  # observations that are listed
Write = Callable[..., None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    `verdicts` are those after the `baseline` was applied; `stale` are its entries that pass now. `kit_errors` are
    errors of the kit itself, with their tracebacks; `plan` describes the effort of the properties.
    """

    verdicts: Sequence[Verdict]
    profile: Profile
    facts: Facts
    fail_on_should: bool = False
    require_all: bool = False
    kit_errors: Sequence[str] = ()
    interrupted: bool = False
    plan: str = ""
    baseline: Baseline = field(default_factory=Baseline)
    stale: Sequence[str] = ()

    @property
    def judged(self) -> bool:
        """Whether the run says anything about the relay."""
        return any(verdict.outcome not in (None, Outcome.NOT_EXERCISED) for verdict in self.verdicts)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command that made the run."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.green:
            return ExitCode.SUCCESS
        if self.kit_errors and not any(v.outcome in (Outcome.FAILED, Outcome.WARNED) for v in self.verdicts):
            return ExitCode.KIT_ERROR
        return ExitCode.NOT_CONFORMING if self.judged or self._is_cut_short else ExitCode.NOTHING_TO_JUDGE

    @property
    def _is_cut_short(self) -> bool:
        return any(finding.reason in UNFINISHED for verdict in self.verdicts for finding in verdict.findings)

    @property
    def green(self) -> bool:
        """Whether the relay passed."""
        return (
            self.judged
            and not self.interrupted
            and not self.kit_errors
            and not self.stale
            and is_green(self.verdicts, fail_on_should=self.fail_on_should, require_all=self.require_all)
        )


def write_report(run: RunResult, line: Write) -> None:
    """Write the report with `line(text, **markup)`, one call for each line."""
    _failures(run, Outcome.FAILED, "Failed", line)
    _failures(run, Outcome.WARNED, "Warned (SHOULD)", line)
    _reasons(run, Outcome.FOLLOW_UP, "Follows from another failure, and fails nothing", line)
    _reasons(run, Outcome.PASSED, "Remarks", line)
    _reasons(run, Outcome.INCONCLUSIVE, "Inconclusive", line)
    _reasons(run, Outcome.NOT_EXERCISED, "Not exercised", line)
    _known(run, line)
    _observations(run, line)
    _kit_errors(run, line)
    _table(run, line)
    _conclusion(run, line)


def _of(run: RunResult, outcome: Outcome) -> list[Verdict]:
    return [verdict for verdict in run.verdicts if verdict.outcome is outcome]


def _failures(run: RunResult, outcome: Outcome, title: str, line: Write) -> None:
    verdicts = _of(run, outcome)
    if not verdicts:
        return
    line("")
    line(title, bold=True)
    for verdict in verdicts:
        row = verdict.requirement
        line("")
        line(f"  {row.id}  {row.level}  {row.section}", **_COLOURS[outcome])
        _wrapped(row.demand, "    ", line)
        findings = [finding for finding in verdict.findings if finding.outcome is outcome]
        shown = list({(finding.expected, finding.seen): finding for finding in findings[::-1]}.values())[::-1]
        for finding in shown[:3]:
            line("")
            line(f"    case      {finding.case}")
            line(f"    expected  {finding.expected}")
            line(f"    seen      {finding.seen}", bold=True)
            for text in finding.exchange.splitlines():
                line(f"      {text}")
        if len(shown) > 3:
            line(f"    … and {len(shown) - 3} more; cbspec explain {row.id} describes the cases")


def _section(title: str, texts: Sequence[str], line: Write) -> None:
    if texts:
        line("")
        line(title, bold=True)
        for text in texts:
            _wrapped(text, "  ", line)


def _reasons(run: RunResult, outcome: Outcome, title: str, line: Write) -> None:
    by_reason = defaultdict[str, list[str]](list)
    for verdict in _of(run, outcome):
        for reason in verdict.reasons:
            by_reason[reason].append(verdict.requirement.id)
    _section(title, [f"{', '.join(ids)}: {reason}" for reason, ids in by_reason.items()], line)


def _known(run: RunResult, line: Write) -> None:
    """List the known failures, the stale entries of the baseline and the expired ones."""
    entries = {id_: f"{id_}: {entry}" for id_, entry in run.baseline.entries.items()}
    known = [f"{each.requirement.id}: {run.baseline.remark(each)}" for each in _of(run, Outcome.KNOWN)]
    expired = [id_ for id_, entry in run.baseline.entries.items() if run.baseline.is_over(entry)]
    unjudged = sum(text.endswith(")") and "(not judged: " in text for text in known)
    title = f"Known failures (baseline: {len(entries)} entries, {len(known) - unjudged} seen, {unjudged} not judged)"
    _section(title, known, line)
    stale = f"Stale baseline entries: these pass now; remove them from {run.baseline.path}"
    _section(stale, [entries[id_] for id_ in run.stale], line)
    _section("Expired baseline entries", [entries[id_] for id_ in expired], line)


def _observations(run: RunResult, line: Write) -> None:
    """List the observed behaviours, or only their number if they are many."""
    observed = _of(run, Outcome.OBSERVED)
    if not observed:
        return
    line("")
    if len(observed) > _MOST_OBSERVED:
        line(f"{len(observed)} behaviours observed where the specification is silent (INFO): see --fingerprint FILE")
        return
    line("Observed (INFO)", bold=True)
    for verdict in observed:
        _wrapped(f"{verdict.requirement.id}: {verdict.requirement.demand}", "  ", line)
        for aspect, value in verdict.observed.items():
            _wrapped(f"{aspect}: {value}" if aspect else value, "    ", line)


def _kit_errors(run: RunResult, line: Write) -> None:
    if run.kit_errors:
        line("")
        line("Errors of the kit (no verdict on the relay; please report them)", bold=True, red=True)
        for error in run.kit_errors:
            line(textwrap.indent(error, "  "))


def _table(run: RunResult, line: Write) -> None:
    line("")
    columns = [column for column in _COLUMNS if column not in _IF_ANY or _of(run, column)]
    line(f"{'Requirements by chapter':<44}" + "".join(f"{_COLUMNS[column]:>9}" for column in columns), bold=True)
    totals = Counter[Outcome | None]()
    for chapter, title in CHAPTERS.items():
        counts = Counter(verdict.outcome for verdict in run.verdicts if verdict.requirement.chapter == chapter)
        totals += counts
        if any(counts[column] for column in columns):
            markup = next((colour for outcome, colour in _COLOURS.items() if counts[outcome]), {})
            line(f"  {f'CB-{chapter}  {title}'[:42]:<42}" + _cells(counts, columns), **markup)
    line(f"  {'all':<42}" + _cells(totals, columns), bold=True)
    line(f"  requirement set {SET} ({len(run.verdicts)} requirements), specification revision {REVISION}")
    untestable = [verdict.requirement.id for verdict in run.verdicts if verdict.requirement.untestable]
    if untestable:
        line(f"  not testable: {', '.join(untestable)} (cbspec explain gives the reason)")


def _cells(counts: Counter[Outcome | None], columns: Sequence[Outcome]) -> str:
    return "".join(f"{counts[column] or '·':>9}" for column in columns)


def _conclusion(run: RunResult, line: Write) -> None:
    line("")
    transports = run.facts.transport + (
        ", WebSocket too" if run.facts.websocket and run.facts.transport == "tcp" else ""
    )
    at = f" at {run.facts.address}" if run.facts.address else ""
    relay = f"{run.profile.target.address}{at} ({transports})"
    unselected = [v for v in run.verdicts if v.outcome is None and not v.requirement.untestable]
    if run.green:
        passed, left = (sum(v.outcome is o for v in run.verdicts) for o in (Outcome.PASSED, Outcome.NOT_EXERCISED))
        known = len(_of(run, Outcome.KNOWN))
        failed = f"none failed but {known} known" if known else "none failed"
        line(f"{relay} passed: {passed} requirements passed, {failed}, {left} not exercised.", green=True)
    else:
        line(f"{relay} did not pass: {_why_not(run)}", red=True, bold=True)
    for reason in dict.fromkeys(filter(None, (run.facts.tls, run.facts.hello, run.facts.auth, run.facts.tunnel))):
        _wrapped(f"Some cases have no verdict: {reason}.", "", line)
    if run.plan:
        line(f"Properties: {run.plan}.")
    if unselected:
        line(f"A partial run: {len(unselected)} requirements were not selected.")


def _why_not(run: RunResult) -> str:
    spoiled = [v for v in run.verdicts if spoils(v, fail_on_should=run.fail_on_should, require_all=run.require_all)]
    broken = [v.requirement.id for v in spoiled if v.outcome in (Outcome.FAILED, Outcome.WARNED)]
    unclear = [v.requirement.id for v in spoiled if v.requirement.id not in broken]
    parts = [", ".join(broken)] if broken else []
    if unclear:
        parts.append(
            f"without a verdict: {', '.join(unclear[:6])}{f' and {len(unclear) - 6} more' if unclear[6:] else ''}"
        )
    if run.stale:
        parts.append(f"stale in the baseline: {', '.join(run.stale)}")
    if run.interrupted:
        parts.append("the run was interrupted")
    return "; ".join(parts) or "nothing was judged"


def _wrapped(text: str, indent: str, line: Write) -> None:
    for part in textwrap.wrap(text, 116 - len(indent), break_long_words=False, break_on_hyphens=False) or [""]:
        line(indent + part)
        indent = " " * len(indent)
