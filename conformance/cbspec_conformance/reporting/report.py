"""The report on the terminal: the counts by chapter, a line for each broken requirement, then the details."""

from __future__ import annotations

import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cbspec.catalogue.requirements import CHAPTERS, JudgedRole
from cbspec.catalogue.revisions import PRESENT, CatalogueRevision
from cbspec.exit_codes import ExitCode
from cbspec_conformance.failures.failure import LEARNED
from cbspec_conformance.judging.verdicts import (
    BROKEN,
    TIME_UP,
    UNFINISHED,
    Finding,
    Outcome,
    Verdict,
    spoils,
    without_values,
)
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.record.naming import TUNNEL_NAME
from cbspec_conformance.record.quoting import shortened
from cbspec_conformance.record.render import BEFORE
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.reporting.subject import JudgedSubject

WIDTH = 80
COLUMNS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.WARNED: "warned",
    Outcome.INCONCLUSIVE: "inconcl.",
    Outcome.NOT_EXERCISED: "not ex.",
    Outcome.OBSERVED: "observed",
    Outcome.KNOWN: "known",
    Outcome.FOLLOW_UP: "follows",
}
"""The short names of the outcomes."""
COLOURS: Final[Mapping[Outcome, dict[str, bool]]] = {
    Outcome.FAILED: {"red": True, "bold": True},
    Outcome.INCONCLUSIVE: {"yellow": True, "bold": True},
    Outcome.WARNED: {"yellow": True},
}
"""The colours of lines about outcomes that need attention."""
_IF_ANY = (Outcome.KNOWN, Outcome.FOLLOW_UP)
_MOST_OBSERVED = 12  # observations that are listed
_MOST_IDS = 4  # requirements that are named with a reason
_MOST_REASONS = 8
_MOST_LINES = {JudgedRole.RELAY: 4, JudgedRole.CLIENT: 8}  # of an exchange; a client's output is a part of it
_MOST_TOLD = 220  # characters of what was expected and seen, unless more is requested
_ID = 10  # characters of the columns
_EXPECTED = 26  # at least
_MOST_WAYS = 300  # characters of the other requests that broke the requirement
Write = Callable[..., None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    `subject` is the judged implementation. `verdicts` are those after the `baseline` was applied; `stale` are its
    entries that pass now. `kit_errors` are errors of the kit itself, with their tracebacks; `plan` describes the effort
    of the properties. `exchanges` is the number of exchanges to show for each requirement, and `command` repeats the
    run ("": unknown).
    `costs` are those of the cases, by name, of which the `expensive` highest are shown. `observed_only` says that the
    run can't exercise all requirements, which spoils nothing then: it watched the subject, or learned its machine.
    `catalogue` is the revision by which the run judged.
    """

    verdicts: Sequence[Verdict]
    subject: JudgedSubject
    fail_on_should: bool = False
    require_all: bool = False
    kit_errors: Sequence[str] = ()
    interrupted: bool = False
    plan: str = ""
    baseline: Baseline = field(default_factory=Baseline)
    stale: Sequence[str] = ()
    exchanges: int = 1
    command: str = ""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    expensive: int = 0
    observed_only: bool = False
    catalogue: CatalogueRevision = PRESENT

    @property
    def requirement_set(self) -> str:
        """The digest of the requirements by which the run judged."""
        return self.catalogue.digest(self.subject.role)

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
        if self.kit_errors and not any(v.outcome in BROKEN for v in self.verdicts):
            return ExitCode.KIT_ERROR
        return ExitCode.NOT_CONFORMING if self.judged or self._is_cut_short else ExitCode.NOTHING_TO_JUDGE

    @property
    def _is_cut_short(self) -> bool:
        return any(finding.reason in UNFINISHED for verdict in self.verdicts for finding in verdict.findings)

    @property
    def green(self) -> bool:
        """Whether the relay passed."""
        return self.judged and not self.interrupted and not self.kit_errors and not self.stale and not self.spoiling

    @property
    def spoiling(self) -> list[Verdict]:
        """The verdicts that keep the subject from passing."""
        switches = {"fail_on_should": self.fail_on_should, "require_all": self.require_all}
        return [verdict for verdict in self.deciding if spoils(verdict, **switches)]

    @property
    def deciding(self) -> list[Verdict]:
        """The verdicts that decide whether the subject passed."""
        return [
            each
            for each in self.verdicts
            if not self.observed_only or each.outcome is not Outcome.NOT_EXERCISED or {*UNFINISHED} & {*each.reasons}
        ]

    def alone(self, requirement: str, more: str = "") -> str:
        """Return the command that judges a requirement alone; a relay's machine is learned as a whole."""
        if self.observed_only:
            return self.command
        words, dashes, started = self.command.partition(" -- ")
        return f"{words} --only {requirement}{more}{dashes}{started}"


def write_report(run: RunResult, line: Write, *, brief: bool = False, table: bool = True) -> None:
    """Write the report with `line(text, **markup)`, one call for each line; a `brief` one says what failed and why.

    `table`: it begins with the counts by chapter.
    """
    if table and not brief:
        _table(run, line)
    _broken(run, line)
    if brief:
        _conclusion(run, line)
        return
    _reasons(run, Outcome.FOLLOW_UP, "Follows from another failure, and fails nothing", line)
    _section("Remarks", [f"{v.requirement.id}: {text}" for v in run.verdicts for text in v.remarks], line)
    _reasons(run, Outcome.INCONCLUSIVE, "Inconclusive", line)
    _reasons(run, Outcome.NOT_EXERCISED, "Not exercised", line)
    _known(run, line)
    _observations(run, line)
    _kit_errors(run, line)
    _conclusion(run, line)


def counts(run: RunResult) -> str:
    """Return the last line of a report: the number of requirements with each verdict."""
    found = Counter(verdict.outcome for verdict in run.verdicts)
    named = [Outcome.PASSED, Outcome.FAILED, Outcome.WARNED, Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED]
    named += [Outcome.KNOWN] if found[Outcome.KNOWN] else []
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in named)


def one_line(run: RunResult) -> str:
    """Return the result of a run on one line."""
    found = Counter(verdict.outcome for verdict in run.verdicts)
    told = [f"{found[outcome]} {outcome}" for outcome in COLUMNS if found[outcome] and outcome is not Outcome.OBSERVED]
    broken = [verdict.requirement.id for verdict in _of(run, Outcome.FAILED)]
    why = f" ({_ids(broken)})" if broken else ""
    return f"{run.subject.address} {'passed' if run.green else 'did not pass'}: {', '.join(told)}{why}"


def _of(run: RunResult, outcome: Outcome) -> list[Verdict]:
    return [verdict for verdict in run.verdicts if verdict.outcome is outcome]


# ------------------------------------------------------------------ broken requirements


def _broken(run: RunResult, line: Write) -> None:
    """Write a line for each broken requirement, then the details of each."""
    levels = ((Outcome.FAILED, "Failed"), (Outcome.WARNED, "Warned"))
    for outcome, title in levels:
        verdicts = _of(run, outcome)
        rows = [_columns(verdict.requirement.id, distinct(verdict)[0]) for verdict in verdicts]
        head = (f"{title}: {len(rows)}", "expected", "seen [special about the request]")
        for number, row in enumerate(_rows([head, *rows]) if rows else ()):
            if number == 0:
                line("")
            line(row, **({"bold": True} if number == 0 else COLOURS[outcome]))
    verdicts = [verdict for outcome, _ in levels for verdict in _of(run, outcome)]
    if verdicts:
        line("")
        line('Details ("->": request, "<-": answer, ">": decisive, "before:": unusual ones)', bold=True)
    for verdict in verdicts:
        _details(verdict, run.exchanges, line)


def _rows(columns: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return lines of three columns; the second is cut first if they are too long."""
    longest = max(len(seen) for _, _, seen in columns[1:] or columns)
    room = max(_EXPECTED, WIDTH - _ID - 3 - longest)
    width = min(room, max(len(expected) for _, expected, _ in columns))
    return [
        shortened(f"{first:<{_ID}} {shortened(expected, width):<{width}}  {seen}", WIDTH)
        for first, expected, seen in columns
    ]


def _columns(id_: str, finding: Finding) -> tuple[str, str, str]:
    change = f" [{finding.change}]" if finding.change else ""
    return id_, terse(finding.expected), terse(finding.seen) + change


_WORDS = (
    (r" \([^()]*broken, too: [^()]*\)", ""),
    (r"\b(an? |1 x an? )(?=error|hello|auth|tunnel|heartbeat)", ""),
    (r" with (code|status) ", " "),
    (r"\s+", " "),
)


def terse(sentence: str) -> str:
    """Return a sentence without the words that a line can spare."""
    for words, instead in _WORDS:
        sentence = re.sub(words, instead, sentence)
    return sentence


def distinct(verdict: Verdict) -> list[Finding]:
    """Return the findings that break the requirement in different ways, the shortest exchange first."""
    findings = [finding for finding in verdict.findings if finding.outcome is verdict.outcome]
    findings.sort(key=lambda finding: (not finding.exchange, len(finding.exchange)))
    ways = {(without_values(finding.expected), without_values(finding.seen)): finding for finding in findings[::-1]}
    return list(ways.values())[::-1]


def _details(verdict: Verdict, exchanges: int, line: Write) -> None:
    row, found = verdict.requirement, distinct(verdict)
    _wrapped(f"{row.id} {row.demand}", "", line, more="  ")
    for number, finding in enumerate(found[:exchanges]):
        told = f"expected {finding.expected}; seen: {finding.seen}"
        if exchanges > 1 or row.role is JudgedRole.CLIENT:
            told += f" in {finding.case}"
        if number or exchanges > 1 or _is_cut(row.id, finding):
            _wrapped(told if exchanges > 1 else shortened(told, _MOST_TOLD), "  ", line, more="    ")
        if finding.case.startswith(LEARNED):
            _wrapped(f"after {finding.case.removeprefix(LEARNED)}", "  ", line, more="    ")
        for text in _excerpt(finding.exchange, None if exchanges > 1 else _MOST_LINES[row.role]):
            markup = {"bold": True} if text.startswith(">") else {"light": True}
            parts = textwrap.wrap(text, WIDTH - 2, subsequent_indent=text[:1] + " " * 5) if exchanges > 1 else [text]
            for part in parts:
                line(shortened(f"  {part}", WIDTH), **markup)
    if (left := len(found) - exchanges) > 0:
        shown = {finding.change for finding in found[:exchanges]}
        others = dict.fromkeys(f"[{each.change}]" for each in verdict.findings if each.change not in {*shown, ""})
        also = f", with {', '.join(others)}" if others else ""
        told = f"… and {left} more {'way' if left == 1 else 'ways'}{also}: --exchanges {len(found)}"
        _wrapped(shortened(told, _MOST_WAYS), "  ", line, more="    ")


def _is_cut(id_: str, finding: Finding) -> bool:
    """Whether a line of the table may lack a part of what was expected or seen."""
    shown = _rows([_columns(id_, finding)])[0]
    return terse(finding.expected) not in shown or terse(finding.seen) not in shown


def _excerpt(exchange: str, most: int | None) -> list[str]:
    """Return at most so many decisive lines of an exchange, and the line that sums up what was before; None: all."""
    lines = [re.sub(r"^([> ]) *\d+\.\d+ ", r"\1 ", text) for text in exchange.splitlines()]
    if most is None:
        return lines
    lines = [_TUNNEL.sub('"…', text) for text in lines]  # the rest of the line tells more
    decisive = [text for text in lines if text.startswith(">")]
    left_out = [f">  … {len(decisive) - most + 1} more lines"] if len(decisive) > most else []
    before = [text for text in lines if text.startswith(BEFORE) and not _USUAL.fullmatch(text)]
    return ((decisive[: most - len(left_out)] + left_out) or lines[-most:]) + before


_TUNNEL = re.compile(f'"{TUNNEL_NAME.pattern}')
_USUAL = re.compile(rf"{BEFORE} #\d+ hello(, auth(, tunnel_info)?)?")


# ------------------------------------------------------------------ reasons and remarks


def _section(title: str, texts: Sequence[str], line: Write, *, light: bool = True) -> None:
    if texts:
        line("")
        line(title, bold=True)
        for text in texts:
            _wrapped(text, "  ", line, more="    ", light=light)


def _reasons(run: RunResult, outcome: Outcome, title: str, line: Write) -> None:
    """List the requirements by their first reason."""
    by_reason = defaultdict[str, list[str]](list)
    for verdict in _of(run, outcome):
        for reason in verdict.reasons[:1]:
            by_reason[reason].append(verdict.requirement.id)
    texts = [f"{_ids(ids)}: {reason}" for reason, ids in sorted(by_reason.items(), key=lambda item: -len(item[1]))]
    if outcome is Outcome.INCONCLUSIVE and len(texts) > _MOST_REASONS:
        left = sum(len(ids) for ids in sorted(by_reason.values(), key=len)[: len(texts) - _MOST_REASONS])
        texts = [*texts[:_MOST_REASONS], f"{left} more requirements for other reasons: see --results FILE"]
    _section(title, texts, line, light=outcome is not Outcome.INCONCLUSIVE)


def _ids(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= _MOST_IDS else f"{ids[0]} and {len(ids) - 1} more"


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
        line(f"{len(observed)} behaviours observed where the specification is silent: see --fingerprint FILE")
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


# ------------------------------------------------------------------ counts and conclusion


def _table(run: RunResult, line: Write) -> None:
    """Write the counts by chapter."""
    columns = [column for column in COLUMNS if column not in _IF_ANY or _of(run, column)]
    first = WIDTH - sum(len(COLUMNS[column]) + 1 for column in columns)
    by_chapter = {
        chapter: Counter(verdict.outcome for verdict in run.verdicts if verdict.requirement.chapter == chapter)
        for chapter in CHAPTERS
    }
    shown = {chapter: found for chapter, found in by_chapter.items() if found.keys() - {None}}
    line(f"{'Requirements by chapter':<{first}}" + "".join(f" {COLUMNS[each]}" for each in columns), bold=True)
    rows = {f"{run.subject.prefix}-{chapter}  {CHAPTERS[chapter]}": found for chapter, found in shown.items()}
    if _of(run, Outcome.FAILED):  # the others on one line, since those with failures are the point
        clean = [name for name, found in rows.items() if not any(found[outcome] for outcome in COLOURS)]
        rest = sum((rows.pop(name) for name in clean), Counter[Outcome | None]())
        rows |= {f"{len(clean)} other chapters": rest} if clean else {}
    for name, found in rows.items():
        markup = next((colour for outcome, colour in COLOURS.items() if found[outcome]), {})
        line(f"  {name[: first - 2]:<{first - 2}}" + _cells(found, columns), **markup)
    totals = Counter(verdict.outcome for verdict in run.verdicts)
    line(f"  {'all':<{first - 2}}" + _cells(totals, columns), bold=True)
    untestable = [verdict.requirement.id for verdict in run.verdicts if verdict.requirement.untestable]
    also = f"; not testable: {', '.join(untestable)} (cbspec explain gives the reason)" if untestable else ""
    _wrapped(
        f"{len(run.verdicts)} requirements ({run.catalogue}, set {run.requirement_set}){also}",
        "  ",
        line,
    )


def _cells(found: Counter[Outcome | None], columns: Sequence[Outcome]) -> str:
    return "".join(f"{found[column] or '·':>{len(COLUMNS[column]) + 1}}" for column in columns)


def _conclusion(run: RunResult, line: Write) -> None:
    line("")
    unselected = [v for v in run.verdicts if v.outcome is None and not v.requirement.untestable]
    if run.green:
        _wrapped(f"{run.subject.name} passed.", "", line, more="  ", green=True)
    else:
        _wrapped(f"{run.subject.name} did not pass: {_why_not(run)}", "", line, more="  ", red=True, bold=True)
    for note in run.subject.notes:
        _wrapped(note, "", line, more="  ")
    unfinished = sum(TIME_UP in verdict.reasons for verdict in run.verdicts)
    if unfinished:
        _wrapped(f"The run was cut off by --max-time: {unfinished} requirements are unfinished.", "", line, bold=True)
    if run.plan:
        line(f"Properties: {run.plan}.")
    if run.costs:
        _costs(run, line)
    if unselected:
        line(f"A partial run: {len(unselected)} requirements were not selected.")
    broken = [*_of(run, Outcome.FAILED), *_of(run, Outcome.WARNED)]
    if broken and run.command and not run.observed_only:
        if run.subject.role is JudgedRole.RELAY:
            line("One alone, with more exchanges:")
            again = run.alone(broken[0].requirement.id, " --exchanges 3")
        else:
            line("One situation alone:")
            case = next((each.case for each in broken[0].findings if each.outcome is broken[0].outcome), "")
            again = run.command.replace("verify-client ", f"verify-client --situation {case} ", 1)
        for part in pasted(again):
            line(part)


def _costs(run: RunResult, line: Write) -> None:
    total = Cost()
    for cost in run.costs.values():
        total.add(cost)
    line(
        f"Cost: {total.round_trips:,} round trips on {total.connections:,} connections; {total.waiting:.1f} s waiting,"
    )
    line(f"  {total.idle:.1f} s in pauses of cases, {total.processor:.1f} s of processor time.")
    if not run.expensive:
        return
    line("The most expensive cases, by their time:")
    line("  seconds = waiting + pauses + processor + others  trips  connections  case")
    dearest = sorted(run.costs.items(), key=lambda item: -item[1].elapsed)[: run.expensive]
    for case, cost in dearest:
        others = cost.elapsed - cost.waiting - cost.idle - cost.processor
        parts = f"{cost.waiting:7.2f}   {cost.idle:6.2f}   {cost.processor:9.2f}   {others:6.2f}"
        line(f"  {cost.elapsed:7.2f}   {parts}  {cost.round_trips:5}  {cost.connections:11}  {case}")


def pasted(command: str) -> list[str]:
    """Return a shell command on indented lines of at most 80 columns; a command with quotes stays on one line."""
    quotes = any(each in command for each in "'\"")
    parts = [command] if quotes else textwrap.wrap(command, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return [*(f"  {part} \\" for part in parts[:-1]), f"  {parts[-1]}"]


def _why_not(run: RunResult) -> str:
    spoiled = run.spoiling
    broken = [v.requirement.id for v in spoiled if v.outcome in BROKEN]
    unclear = [v.requirement.id for v in spoiled if v.requirement.id not in broken]
    parts = [", ".join(broken)] if broken else []
    if unclear:
        parts.append(f"without a verdict: {_ids(unclear)}")
    if run.stale:
        parts.append(f"stale in the baseline: {', '.join(run.stale)}")
    if run.interrupted:
        parts.append("the run was interrupted")
    return "; ".join(parts) or "nothing was judged"


def _wrapped(text: str, indent: str, line: Write, *, more: str | None = None, **markup: bool) -> None:
    """Write a text in lines of at most 80 columns; `more` is the indent of the lines after the first."""
    rest = indent if more is None else more
    parts = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    for part in parts or [""]:
        line(part, **markup)
