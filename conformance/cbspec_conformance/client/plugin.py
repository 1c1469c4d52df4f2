"""A run that judges a client, as a pytest plugin: one test for each situation, several at once, the usual reports.

The situations run in a thread with a loop of its own; each test waits for the result of its situation.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Final

import pytest

from cbspec.catalogue.requirements import JudgedRole, Requirement
from cbspec.exit_codes import ExitCode
from cbspec.redact import redact
from cbspec_conformance.client.excerpt import excerpt
from cbspec_conformance.client.lines import lines_of
from cbspec_conformance.client.options import ClientOptions, left_out_of
from cbspec_conformance.client.rules.judge import why_not
from cbspec_conformance.client.run import ClientRun, Result
from cbspec_conformance.client.situations import CLEAN, SITUATIONS, Situation
from cbspec_conformance.judging.verdicts import CUT_SHORT, TIME_UP, Finding, Outcome, of_interest
from cbspec_conformance.judging.verdicts import judge_run as verdicts_of
from cbspec_conformance.reporting.github import annotate_failure
from cbspec_conformance.reporting.pinning import pinned
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.reporting.stream import line_of, made
from cbspec_conformance.reporting.subject import JudgedSubject, judged_client
from cbspec_conformance.runner.display import RunDisplay
from cbspec_conformance.runner.options import Verbosity
from cbspec_conformance.runner.outcomes import (
    EXIT_CODES,
    RunImpossible,
    attach,
    findings_of,
    kit_errors_of,
    outcome_of,
    status_of,
)
from cbspec_conformance.runner.outputs import write_outputs
from cbspec_conformance.runner.streaming import stream_for

NAME: Final = "cbspec-clients"
"""The name under which the plugin is registered."""

_PER_SITUATION: Final = 0.5  # seconds, measured with a client that starts in 0.3 s on two processors
_UNSEEN: Final = "no situation of this run showed it"


class ClientSuite:
    """One run of the judge for clients; `options` are the user's."""

    def __init__(self, config: pytest.Config, options: ClientOptions) -> None:
        self._config = config
        self._options = options
        self._results: dict[str, Future[Result]] = {row.name: Future() for row in options.chosen}
        self._run = ClientRun(
            options.profile,
            options.chosen,
            options.transport,
            options.quick,
            self._take,
            jobs=options.common.jobs,
        )
        self._findings: list[Finding] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._began = time.time()
        self._stream = stream_for(options.common, config, self._began)
        self._without_result: set[str] = set()  # situations for which the time was up
        self._deadline = time.monotonic() + options.common.max_time
        self._interrupted = False
        self._kit_errors: list[str] = []
        self._ends_early = False
        self._display = RunDisplay(None, Verbosity.QUIET)
        self._told: dict[str, str] = {}  # what clients did, by situation, for -v
        self._stopped = False  # after the first failure, with --fail-fast
        self._error: BaseException | None = None

    @property
    def chosen(self) -> tuple[Situation, ...]:
        """The situations of the run, in their order."""
        return self._options.chosen

    # ------------------------------------------------------------------ the thread of the situations

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the situations of the selected tests."""
        if session.config.option.collectonly or not session.items:
            return
        names = {situation.name for item in session.items if (situation := _situation(item)) is not None}
        self._run.situations = [row for row in self.chosen if row.name in names]
        quick = " of a quick run" if self._options.quick else ""
        cases = [row.requirement for row in self._run.situations]
        count = f"{len(names)} situation{'s' if len(names) > 1 else ''}"
        head = f"Judging {self._subject.address}\n{count}{quick}"
        self._display.begin(head, cases, _PER_SITUATION * len(cases), self._options.common.catalogue)
        self._thread = threading.Thread(target=self._work, name="situations", daemon=True)
        self._thread.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Prepare the display."""
        if not session.config.option.collectonly:
            self._display = RunDisplay.of(self._config)

    def _work(self) -> None:
        async def all_of_them() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await self._run.run()

        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(all_of_them())
        except BaseException as error:  # reported by the tests, which wait for their results
            self._error = error
        finally:
            for future in self._results.values():
                future.cancel()

    def _take(self, result: Result) -> None:
        """Accept the result of a situation; called in the thread of the situations."""
        result = replace(result, findings=pinned(result.findings, self._options.common.catalogue))
        situation = result.situation
        only = self._options.common.only
        if not only and situation not in self.chosen:  # a control shows what the named situations are about
            only = tuple({row.requirement for row in self.chosen})
        findings = of_interest(result.findings, situation.requirement, only)
        if self._stream is not None and situation.name not in self._without_result:
            self._begin_stream()
            self._stream.add(lines_of(replace(result, findings=findings), time.time() - self._began))
        future = self._results.get(situation.name)
        if future is not None and not future.done():
            future.set_result(result)
        elif future is None:
            self._findings += findings

    def result(self, situation: Situation) -> list[Finding]:
        """Wait for a situation, and return its findings."""
        left = max(0.0, self._deadline - time.monotonic())
        try:
            result = self._results[situation.name].result(left)
        except (TimeoutError, CancelledError):
            if self._run.not_started:
                self._ends_early = True
                reason = f"the client can't be started: {self._run.not_started}"
                if self._display.terminal is not None:
                    annotate_failure(reason, self._display.terminal.write_line)
                raise RunImpossible(reason, ExitCode.WRONG_USE) from None
            if self._error is not None:
                raise RuntimeError(f"the judge failed: {self._error!r}") from self._error
            reason = CUT_SHORT if self._results[situation.name].cancelled() else TIME_UP
            self._without_result.add(situation.name)
            self._stop()
            return [Finding(situation.requirement, Outcome.NOT_EXERCISED, situation.name, reason)]
        if self._display.verbosity > Verbosity.USUAL and result.seen is not None:
            self._told[situation.name] = excerpt(result.seen)
        return result.findings

    def _stop(self) -> None:
        """End the clients that are still running; no process is left behind."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(task.cancel)

    # ------------------------------------------------------------------ pytest's hooks

    @pytest.fixture
    def client_suite(self) -> ClientSuite:
        """Return the run of which a test is a part."""
        return self

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Attach the findings of a situation to its report."""
        report: pytest.TestReport = yield  # type: ignore[assignment] # pluggy sends the report
        situation = _situation(item)
        if call.when == "call" and situation is not None:
            item.user_properties.append(("requirement", situation.requirement))
            item.user_properties.append(("situation", situation.name))
            findings = getattr(item, "cbspec_findings", [])
            self._findings += of_interest(findings, situation.requirement, self._options.common.only)
            attach(report, findings, situation.requirement, self._options.common.baseline)
            self._kit_errors += kit_errors_of(report)
        report.user_properties = list(item.user_properties)
        if call.when == "call" and situation is not None:
            self._show(report, situation)
        return report  # type: ignore[return-value] # the report goes back to pluggy

    def _show(self, report: pytest.TestReport, situation: Situation) -> None:
        """Show a situation that has ended, and the requirements that failed in it."""
        findings, outcome = findings_of(report), outcome_of(report) or Outcome.INCONCLUSIVE
        self._display.ended(situation.name, situation.requirement, outcome, self._told.pop(situation.name, ""))
        baseline = self._options.common.baseline
        for finding in findings:
            if finding.outcome is Outcome.FAILED and baseline.known(finding.requirement) is None:
                self._display.failed(finding)
                self._stopped = self._stopped or self._options.common.fail_fast

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool | None:
        """Skip the situations after the first failure, with --fail-fast."""
        return True if self._stopped else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Name the outcomes that pytest does not know."""
        return status_of(report)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Stop all clients, and set the exit code from the verdict."""
        self._stop()
        if self._thread is not None:
            self._thread.join()
        yield
        self._interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        self._display.end()
        if self._ends_early:
            return
        if exitstatus in EXIT_CODES:
            session.exitstatus = EXIT_CODES[pytest.ExitCode(exitstatus)]
        elif self._thread is not None:
            session.exitstatus = self._result().exit_code
        if self._display.quiet and self._display.terminal is not None:
            self.pytest_terminal_summary(self._display.terminal)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the report and the files, even after an interruption."""
        if self._ends_early:
            self._end_stream(self._result(), f"the client can't be started: {self._run.not_started}")
        if self._thread is None or self._ends_early:
            return
        result = self._result()
        self._display.report(result, short=bool(self._run.habits.fault))
        verdicts = verdicts_of(self._rows, self._all_findings(), ())
        common, narrowed, quiet = self._options.common, self._options.narrowed, self._display.quiet
        line = terminalreporter.write_line
        write_outputs(common, result, self._findings, verdicts, line, narrowed=narrowed, quiet=quiet)
        for text in self._end_stream(result):
            terminalreporter.write_line(text, red=True)

    # ------------------------------------------------------------------ the result

    @property
    def _rows(self) -> Mapping[str, Requirement]:
        """The requirements by which the run judges."""
        return self._options.common.catalogue.of(JudgedRole.CLIENT)

    @property
    def _subject(self) -> JudgedSubject:
        command = redact(shlex.join(self._options.profile.command))
        return judged_client(command, self._options.transport, tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        if fault := self._run.habits.fault:
            yield f"Nothing but the clean session could be judged: {fault}."
            yield "cbspec verify-client --help lists the placeholders of the command, such as {host} and {port}."
        elif self._options.quick:
            left = len(left_out_of(self._options))
            yield f"A quick run: it leaves out {left} situations; without --effort quick all are tried."
        if self._run.own_port:
            yield "The client always listens on the same port, so one situation ran at a time: see {local_port}."

    @property
    def _command(self) -> str:
        return redact(f"cbspec verify-client -- {shlex.join(self._options.profile.command)}")

    def _begin_stream(self) -> None:
        if self._stream is not None and not self._stream.has_begun:
            self._stream.begin(self._subject, narrowed=self._options.narrowed, command=self._command)

    def _end_stream(self, result: RunResult, reason: str = "") -> list[str]:
        """Write the situations without a result, the requirements that nothing showed, and the end; return errors."""
        if self._stream is None:
            return []
        self._begin_stream()
        for finding in self._findings:
            if finding.case in self._without_result:
                self._stream.add(lines_of(Result(SITUATIONS[finding.case], [finding])))
        self._stream.add(b"".join(line_of(made(finding)) for finding in self._all_findings() if not finding.case))
        return self._stream.end(result, reason, ExitCode.WRONG_USE if reason else None)

    def _all_findings(self) -> list[Finding]:
        """Return the findings, and one for each requirement that nothing showed."""
        have = {finding.requirement for finding in self._findings}
        if self._options.narrowed or self._options.common.only:
            return self._findings
        missing = [
            Finding(row.id, Outcome.NOT_EXERCISED, reason=self._why_unseen(row))
            for row in self._rows.values()
            if row.id not in have
        ]
        return [*self._findings, *missing]

    def _why_unseen(self, row: Requirement) -> str:
        """Return why nothing showed a requirement."""
        if self._run.habits.fault:
            return "the clean session doesn't work"
        left_out = [each for each in left_out_of(self._options) if each.requirement == row.id]
        reasons = [why_not(each, self._run.habits, self._options.profile, quick=False) for each in left_out]
        if reasons:
            return next(iter(reasons)) if all(reasons) else "not in a quick run"
        return f"it applies {row.when}" if row.when else _UNSEEN

    def _result(self) -> RunResult:
        options = self._options.common
        baseline = options.baseline
        verdicts = baseline.applied(verdicts_of(self._rows, self._all_findings(), ()))
        return RunResult(
            verdicts,
            self._subject,
            options.fail_on_should,
            options.require_all,
            self._kit_errors,
            self._interrupted,
            "",
            baseline,
            () if self._options.narrowed else baseline.stale(verdicts),
            options.exchanges,
            self._command,
            catalogue=options.catalogue,
        )


def _situation(item: pytest.Item) -> Situation | None:
    found = item.callspec.params.get("situation") if isinstance(item, pytest.Function) else None
    return found if isinstance(found, Situation) else None


def situations_of(config: pytest.Config) -> tuple[Situation, ...]:
    """Return the situations of the run; without a client, the clean session."""
    suite = config.pluginmanager.get_plugin(NAME)
    return suite.chosen if isinstance(suite, ClientSuite) else (CLEAN,)
