"""pytest's side of the suite: options, preflight, fixtures, report and exit code.

The controller of a run looks at the relay once, before any case, and tells the workers what it found.
"""

from __future__ import annotations

import gc
import json
import time
import tomllib
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from platformdirs import user_cache_path

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.profile.identity import IdentityError
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile, ProfileError, dump, from_mapping
from cbspec_conformance import SUITE
from cbspec_conformance.failures.failure import failures_of, write_all
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom, NotExercised, RateLimited
from cbspec_conformance.judging.findings import Finding
from cbspec_conformance.judging.verdicts import TIME_UP, judge_run
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.tempo import Tempo, retry
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.kept import kept_for
from cbspec_conformance.properties.progress import IN_A_LOG, ON_A_TERMINAL, Progress, Teller, silent
from cbspec_conformance.reporting.fingerprint import write_fingerprint
from cbspec_conformance.reporting.report import RunResult, write_report
from cbspec_conformance.reporting.results import write_results
from cbspec_conformance.runner.alarm import time_limit
from cbspec_conformance.runner.embedded import SimulatorFailed
from cbspec_conformance.runner.options import Options, case_options
from cbspec_conformance.runner.outcomes import (
    Outcomes,
    TimeUp,
    case_name,
    findings_of,
    kit_errors_of,
    requirement_of,
    status_of,
)
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.life import LIVES_ON, Life
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.pace import Pacer
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from cbspec_conformance.target.target import Target

NO_TARGET = 3
"""Exit code where there was nothing to judge."""


class Suite:
    """One run of the suite, in the controller or in a worker.

    Arguments: `config` is pytest's; `options` and `profile` are what the user gave; no profile: `embedded` gives that
    of the embedded simulator once it is there (see `cbspec_conformance.runner.entry`).
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        profile: Profile | None = None,
        embedded: Callable[[], Profile] | None = None,
    ) -> None:
        set_hypothesis_home_dir(user_cache_path("cbspec") / "hypothesis")
        self._config = config
        self._embedded = embedded
        self.options = options
        self.facts = Facts()
        self.locks = Locks(None)
        self._is_worker = False
        self._profile = profile
        self._pace: Pacer | None = None
        self._issuer: Issuer | None = None
        self._tempo: Tempo | None = None
        self._life = Life()
        self._run_name = uuid.uuid4().hex
        self._judged = str(profile.target.address) if profile is not None else "embedded"
        self._deadline = time.monotonic() + options.max_time if options.max_time is not None else None
        self._findings: list[Finding] = []
        self._kit_errors: list[str] = []
        self._selected: list[str] = []
        self._interrupted = False
        self._outcomes = Outcomes(options.baseline)

    # ------------------------------------------------------------------ controller and workers

    @classmethod
    def worker(cls, config: pytest.Config, options: Options, told: str) -> Suite:
        """Return the suite of a worker, which knows what the controller told it."""
        known = json.loads(told)
        options = replace(options, plan=replace(options.plan, seed=known["seed"]))
        suite = cls(config, options)
        suite._is_worker = True
        suite._judged = known["judged"]
        suite.facts = Facts.from_dict(known["facts"])
        suite.locks = Locks.for_run(known["run"])
        suite._deadline = None if known["seconds"] is None else time.monotonic() + known["seconds"]
        suite._use(from_mapping(tomllib.loads(known["profile"]), Path()), known["workers"])
        return suite

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - a class of xdist's
        """Tell a worker what the controller knows."""
        node.workerinput["cbspec"] = json.dumps(
            {
                "profile": dump(self.profile),
                "facts": self.facts.to_dict(),
                "seed": self.options.plan.seed,
                "judged": self._judged,
                "run": self._run_name,
                "seconds": None if self._deadline is None else self._deadline - time.monotonic(),
                "workers": node.workerinput["workercount"],
            }
        )

    @property
    def profile(self) -> Profile:
        """What is known of the relay, from the preflight on."""
        if self._profile is None:
            raise RuntimeError("no relay was looked at yet")
        return self._profile

    def _use(self, profile: Profile, workers: int) -> None:
        if self.options.transport:
            profile = replace(profile, target=replace(profile.target, transport=self.options.transport))
        self._profile = profile
        self._issuer = Issuer(profile.tokens, time.time)
        self._pace = Pacer(profile, workers)
        restarts = any(condition.begin is not None for condition in profile.conditions.values())
        self._life = Life(workers, provoked=restarts)
        self._tempo = Tempo.of(profile.target, self.facts.latency)

    # ------------------------------------------------------------------ before and after all cases

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Look at the relay, the embedded one where none is named, and find out what works."""
        if self._is_worker or session.config.option.collectonly:
            return
        try:
            with time_limit(self._deadline):
                self._look()
        except (NoTarget, NotExercised, SimulatorFailed, ProfileError, IdentityError, OSError) as error:
            pytest.exit(str(error), returncode=NO_TARGET)
        except TimeUp:
            pytest.exit(f"nothing to judge: {TIME_UP} before the relay had been looked at", returncode=NO_TARGET)

    def _look(self) -> None:
        self._use(self._embedded() if self._embedded is not None else self.profile, workers=1)
        target = self.target("preflight")
        wait_for(target, self.options.wait)
        self.facts = examine(target)
        self._tempo = Tempo.of(self.profile.target, self.facts.latency)
        self._life.look(target)
        target.close()
        self._findings += target.findings

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what --only asks for, and put at the end what must come last, also in a random order."""
        if self.options.only:
            dropped = [item for item in items if requirement_of(item) not in self.options.only]
            items[:] = [item for item in items if requirement_of(item) in self.options.only]
            config.hook.pytest_deselected(items=dropped)
        items.sort(key=lambda item: item.get_closest_marker("last") is not None)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take note of what will run, after -k and every other selector had their say."""
        self._selected = [requirement_of(item) for item in session.items]
        gc.freeze()  # what is there now stays: the garbage collector needn't look through it again and again

    @pytest.hookimpl(trylast=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Say once why there was nothing to judge: pytest has said it already, and would again in a banner."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(excinfo.value, pytest.exit.Exception) and hasattr(reporter, "_keyboardinterrupt_memo"):
            reporter._keyboardinterrupt_memo = None

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Say by the exit code what came out."""
        if not self._is_worker:
            Locks.remove(self._run_name)
        if self._is_worker or self._pace is None:
            return
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.OK if self._result().green else pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write the report; also after an interruption, with what there is."""
        self._interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if not self._is_worker and self._pace is not None:
            write_report(self._result(), terminalreporter.write_line)
            self._write_files(terminalreporter)
            self._write_failures(terminalreporter)
            self._write_baseline(terminalreporter)

    def _write_failures(self, reporter: pytest.TerminalReporter) -> None:
        folder = self.options.failures
        if folder is None:
            return
        address = str(self.profile.target.address)
        failures = failures_of(self._findings, address, self.facts.transport, case_options(self.options))
        try:
            write_all(failures, folder)
        except OSError as error:
            reporter.write_line(f"--failures: {error.filename}: {error.strerror}", red=True)
            return
        if failures:
            reporter.write_line(f"Run the {len(failures)} failures again: cbspec replay {folder} --target {address}")

    def _write_files(self, reporter: pytest.TerminalReporter) -> None:
        wanted = (
            ("--results", self.options.results, write_results),
            ("--fingerprint", self.options.fingerprint, write_fingerprint),
        )
        for option, file, write in wanted:
            if file is None:
                continue
            try:
                write(self._result(), file)
            except OSError as error:
                reporter.write_line(f"{option}: {error.filename}: {error.strerror}; nothing was written", red=True)

    def _write_baseline(self, reporter: pytest.TerminalReporter) -> None:
        file, run = self.options.write_baseline, self._result()
        if file is None:
            return
        if run.interrupted or run.kit_errors:
            why = "the run was interrupted" if run.interrupted else "the kit made mistakes, which no baseline excuses"
            reporter.write_line(f"--write-baseline: nothing was written: {why}", red=True)
            return
        verdicts = judge_run(REQUIREMENTS, self._findings, self._selected)
        new = self.options.baseline.updated(verdicts, run.stale, should=self.options.fail_on_should)
        try:
            new.write(file)
        except OSError as error:
            reporter.write_line(f"--write-baseline: {error.filename}: {error.strerror}; nothing was written", red=True)
        else:
            reporter.write_line(f"{file}: {len(new.entries)} known failures; say in each why it is tolerated")

    def _result(self) -> RunResult:
        baseline = self.options.baseline
        verdicts = baseline.applied(judge_run(REQUIREMENTS, self._findings, self._selected))
        return RunResult(
            verdicts,
            self.profile,
            self.facts,
            self.options.fail_on_should,
            self.options.require_all,
            self._kit_errors,
            self._interrupted,
            str(self.options.plan),
            baseline,
            () if self._is_narrowed() else baseline.stale(verdicts),
        )

    def _is_narrowed(self) -> bool:
        """Whether not every case of a requirement need have run: that one passes is not the whole truth then."""
        option = self._config.option
        paths = [Path(self._config.rootpath, argument).resolve() for argument in self._config.args]
        elsewhere = any(path not in (SUITE, SUITE.parent) for path in paths)
        return bool(option.keyword or option.markexpr or option.deselect or elsewhere)

    # ------------------------------------------------------------------ one case

    def target(self, case: str) -> Target:
        """Return the relay as a case sees it."""
        if self._pace is None or self._issuer is None or self._tempo is None:
            raise RuntimeError("a case ran before the relay was looked at")
        return Target(
            self.profile,
            self.facts,
            case,
            locks=self.locks,
            pace=self._pace,
            issuer=self._issuer,
            tempo=self._tempo,
        )

    @pytest.fixture
    def relay(self, request: pytest.FixtureRequest) -> Iterator[Target]:
        """Give a case the relay, and close what it opened."""
        target = self.target(case_name(request.node))
        in_turn = self.profile.target.connections_at_once is not None
        alone = in_turn or request.node.get_closest_marker("alone") is not None
        with self.locks.alone() if alone else self.locks.shared():
            try:
                yield target
            finally:
                target.close()
                if any(finding.requirement == "CB-HBT-001" for finding in target.findings):
                    self.facts = replace(self.facts, fence="unknown")  # what isn't always answered is no fence

    @pytest.fixture
    def explorer(self, request: pytest.FixtureRequest, relay: Target) -> Explorer:
        """Give a case what tries its properties."""
        case, kept = case_name(request.node), kept_for(self._judged)
        return Explorer(self.options.plan, case, kept=kept, remark=relay.remark, progress=self._progress())

    def _progress(self) -> Progress:
        """Return what says how far a property is; workers have no terminal to say it on."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._is_worker or not isinstance(reporter, pytest.TerminalReporter):
            return silent()
        return Progress(Teller(self._config, reporter), ON_A_TERMINAL if reporter.isatty else IN_A_LOG)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a case; try again, after a while, where the relay's rate limit struck in passing, or it had no room."""
        relay = pyfuncitem.funcargs.get("relay")
        if not isinstance(relay, Target):
            return None
        self._needs_hello(requirement_of(pyfuncitem))
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        with time_limit(self._deadline):
            self._life.check_back(relay)
            try:
                self._try(relay, lambda: until_room(relay, lambda: pyfuncitem.obj(**arguments)))
            except Exception as error:
                if not self._life.look(relay) and _says_nothing(error, requirement_of(pyfuncitem)):
                    raise Inconclusive(f"the relay died in this case (see {LIVES_ON})") from None
                raise
            self._life.look(relay)
        return True

    def _try(self, relay: Target, case: Callable[[], object]) -> None:
        if self._tempo is None:
            raise RuntimeError("a case ran before the relay was looked at")
        for pause in (*self._tempo.rate_pauses, None):
            try:
                case()
            except RateLimited as limited:
                relay.close()
                if pause is None:
                    self._tempo.rate_struck_on()
                    raise Inconclusive(f"{limited}, again and again: declare tenants.rate in the profile") from None
                time.sleep(pause)
            else:
                return

    def _needs_hello(self, identifier: str) -> None:
        """Say at once what would cost a time-out or several: nothing works on a relay where hello doesn't."""
        reason = self.facts.tls or self.facts.hello
        if reason and identifier != "CB-HEL-001" and identifier.split("-")[1] not in ("TLS", "MET", "WSK"):
            raise Inconclusive(f"hello is never served on this relay: {reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn how a case ended into findings, and those into pytest's outcome."""
        report = yield
        self._outcomes.settle(item, call, report)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the findings of a finished case, in the controller, from whichever process ran it."""
        self._findings += findings_of(report)
        self._kit_errors += kit_errors_of(report) if report.when != "teardown" else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name the outcomes that pytest doesn't know."""
        return status_of(report)


def _says_nothing(error: Exception, identifier: str) -> bool:
    """Whether how a case ended says nothing of its own requirement, because the relay died in it."""
    return isinstance(error, Broken | Inconclusive | Unreachable | HandshakeFailure) and "-ROB-" not in identifier


def until_room(relay: Target, case: Callable[[], object]) -> None:
    """Try a case until the relay has room for it, as long as it has to give back room, if that ever helped."""

    def attempt() -> None:
        try:
            case()
        except NoRoom:
            relay.close()
            raise

    try:
        retry(attempt, (NoRoom,), relay.tempo.room_again)
    except NoRoom:
        relay.tempo.had_no_room()
        raise
