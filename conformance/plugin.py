"""pytest's side of the suite: options, preflight, fixtures, what becomes of each case, the report and the exit code.

The controller of a run looks at the relay once, before any case, and tells the workers what it found.
"""

from __future__ import annotations

import json
import signal
import time
import traceback
import uuid
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import FrameType
from typing import Any

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from platformdirs import user_cache_path

from cbspec.issuer import Issuer
from cbspec.profile import Profile, ProfileError, dump, from_mapping
from cbspec.requirements import REQUIREMENTS, Level, find
from conformance.embedded import SimulatorFailed, embedded_simulator
from conformance.errors import Broken, Inconclusive, NotExercised, RateLimited
from conformance.facts import Facts
from conformance.findings import Finding, Outcome
from conformance.locks import Locks
from conformance.options import Options, add_options, read_options, read_profile
from conformance.pace import Pacer
from conformance.preflight import NoTarget, examine, wait_for
from conformance.render import render
from conformance.report import Run, write_report
from conformance.target import Target
from conformance.verdicts import TIME_UP, judge_run

NO_TARGET = 3
"""Exit code where there was nothing to judge."""

_RETRIES = (1.0, 2.0, 4.0)  # seconds to wait after an unexpected rate_limit_exceeded
_PROPERTY = "cbspec"


class TimeUp(BaseException):
    """--max-time struck; not an Exception, so that nothing on the way takes it for the relay's doing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read options and profile before anything is done with them."""
    set_hypothesis_home_dir(user_cache_path("cbspec") / "hypothesis")
    options = read_options(config)
    worker = getattr(config, "workerinput", None)
    suite = Suite(config, options, read_profile(options) if worker is None else None)
    config.pluginmanager.register(suite, "cbspec-suite")
    if worker is not None:
        suite.take_over(json.loads(worker["cbspec"]))


class Suite:
    """One run of the suite, in the controller or in a worker."""

    def __init__(self, config: pytest.Config, options: Options, profile: Profile | None) -> None:
        self.config = config
        self.options = options
        self.profile = profile
        self.facts = Facts()
        self.findings: list[Finding] = []
        self.kit_errors: list[str] = []
        self.selected: set[str] = set()
        self.run_name = uuid.uuid4().hex
        self.locks = Locks(None)
        self.pace: Pacer | None = None
        self.issuer: Issuer | None = None
        self.deadline = time.monotonic() + options.max_time if options.max_time is not None else None
        self._stack = ExitStack()
        self._blamed: set[str] = set()

    # ------------------------------------------------------------------ before and after all cases

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Look at the relay: start the embedded one where none is named, and find out what works."""
        if self.is_worker or session.config.option.collectonly:
            return
        try:
            if self.profile is None:
                self.profile = self._stack.enter_context(embedded_simulator())
            self._ready(self.profile, workers=1)
            target = self.target("preflight")
            wait_for(target, self.options.wait)
            self.facts = examine(target)
            target.close()
            self.findings += target.findings
        except (NoTarget, SimulatorFailed, ProfileError) as error:
            pytest.exit(str(error), returncode=NO_TARGET)
        except NotExercised as error:
            pytest.exit(str(error), returncode=NO_TARGET)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - a class of xdist's
        """Tell a worker what the controller knows."""
        assert self.profile is not None  # noqa: S101 - workers are started after the session
        node.workerinput["cbspec"] = json.dumps(
            {
                "profile": dump(self.profile),
                "facts": self.facts.to_dict(),
                "run": self.run_name,
                "deadline": None if self.deadline is None else self.deadline - time.monotonic(),
            }
        )

    def take_over(self, told: dict[str, Any]) -> None:
        """Take what the controller knows."""
        import tomllib
        from pathlib import Path

        self.profile = from_mapping(tomllib.loads(told["profile"]), Path())
        self.facts = Facts.from_dict(told["facts"])
        self.locks = Locks.for_run(told["run"])
        if told["deadline"] is not None:
            self.deadline = time.monotonic() + told["deadline"]
        self._ready(self.profile, workers=int(self.config.workerinput["workercount"]))  # type: ignore[attr-defined]

    def _ready(self, profile: Profile, workers: int) -> None:
        if self.options.transport:
            from dataclasses import replace

            profile = replace(profile, target=replace(profile.target, transport=self.options.transport))  # type: ignore[arg-type]
        self.profile = profile
        self.issuer = Issuer(profile.tokens, time.time)
        self.pace = Pacer(profile, workers)

    @property
    def is_worker(self) -> bool:
        """Whether this process is a worker of xdist's."""
        return hasattr(self.config, "workerinput")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what --only asks for, and put at the end what must come last, also in a random order."""
        if self.options.only:
            kept = [item for item in items if requirement_of(item) in self.options.only]
            config.hook.pytest_deselected(items=[item for item in items if item not in kept])
            items[:] = kept
        items.sort(key=lambda item: item.get_closest_marker("last") is not None)
        self.selected |= {requirement_of(item) for item in items}

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """End the embedded simulator and say by the exit code what came out."""
        self._stack.close()
        if self.is_worker or session.config.option.collectonly:
            return
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.OK if self._result().green else pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the report; also after an interruption, with what there is."""
        if self.is_worker or self.config.option.collectonly or self.pace is None:
            return
        write_report(self._result(), terminalreporter.write_line)

    def _result(self) -> Run:
        assert self.profile is not None  # noqa: S101 - a run without one has ended before
        return Run(
            judge_run(REQUIREMENTS, self.findings, self.selected),
            self.profile,
            self.facts,
            self.options.fail_on_should,
            self.options.require_all,
            self.kit_errors,
        )

    # ------------------------------------------------------------------ one case

    def target(self, case: str) -> Target:
        """Return the relay as a case sees it."""
        if self.profile is None or self.pace is None or self.issuer is None:
            raise RuntimeError("a case ran before the relay was looked at")
        return Target(self.profile, self.facts, case, locks=self.locks, pace=self.pace, issuer=self.issuer)

    @pytest.fixture
    def relay(self, request: pytest.FixtureRequest) -> Iterator[Target]:
        """Give a case the relay, and close what it opened."""
        target = self.target(_case_name(request.node))
        hold: AbstractContextManager[object] = (
            self.locks.alone() if request.node.get_closest_marker("alone") else self.locks.shared()
        )
        with hold:
            try:
                yield target
            finally:
                target.close()
        request.node.user_properties += [(_PROPERTY, finding.to_dict()) for finding in target.findings]

    @pytest.fixture
    def examples(self) -> int:
        """Give a case the number of examples that each property is to be tried with."""
        return self.options.examples

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a case; try again, after a while, where the relay's rate limit struck a case that isn't about rates."""
        relay = pyfuncitem.funcargs.get("relay")
        if not isinstance(relay, Target):
            return None
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        with self._time_limit():
            for pause in (*_RETRIES, None):
                try:
                    pyfuncitem.obj(**arguments)
                except RateLimited as limited:
                    relay.close()
                    if pause is None:
                        raise Inconclusive(f"{limited}, again and again: declare tenants.rate in the profile") from None
                    time.sleep(pause)
                else:
                    break
        return True

    def _time_limit(self) -> AbstractContextManager[None]:
        return _Alarm(None if self.deadline is None else self.deadline - time.monotonic())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn how a case ended into a finding, and the finding into pytest's outcome."""
        report = yield
        identifier = requirement_of(item)
        if call.when == "setup":
            item.user_properties.append(("requirement", identifier))
        error = call.excinfo.value if call.excinfo else None
        if call.when == "call" or (call.when == "setup" and error is not None):
            finding = self._finding(item, identifier, error)
            if finding is None:
                self._kit_error(item, call, report)
            else:
                item.user_properties.append((_PROPERTY, finding.to_dict()))
                _show(report, finding)
        if call.when == "teardown":
            self._blame(item, report)
        report.user_properties = list(item.user_properties)
        return report

    def _finding(self, item: pytest.Item, identifier: str, error: BaseException | None) -> Finding | None:
        case = _case_name(item)
        if error is None:
            return Finding(identifier, Outcome.PASSED, case)
        if isinstance(error, Broken):
            blamed = error.requirement or identifier
            outcome = Outcome.FAILED if find(blamed).level is Level.MUST else Outcome.WARNED
            relay = getattr(item, "funcargs", {}).get("relay")
            exchange = render(relay.transcript, error.exchanges) if isinstance(relay, Target) else ""
            return Finding(blamed, outcome, case, expected=error.expected, seen=error.seen, exchange=exchange)
        if isinstance(error, TimeUp):
            return Finding(identifier, Outcome.NOT_EXERCISED, case, TIME_UP)
        if isinstance(error, NotExercised):
            return Finding(identifier, Outcome.NOT_EXERCISED, case, str(error))
        if isinstance(error, Inconclusive):
            return Finding(identifier, Outcome.INCONCLUSIVE, case, str(error))
        return None

    def _kit_error(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        if call.excinfo is None or isinstance(call.excinfo.value, KeyboardInterrupt):
            return
        text = "".join(traceback.format_exception(call.excinfo.value))
        report.sections.append((_PROPERTY, f"{item.nodeid}\n{text}"))

    def _blame(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Make the first case that saw a MUST broken on the way fail, so that every report of pytest's shows it."""
        for name, value in item.user_properties:
            if name != _PROPERTY or not isinstance(value, dict):
                continue
            finding = Finding.from_dict(value)
            if finding.outcome is Outcome.FAILED and finding.requirement not in self._blamed:
                self._blamed.add(finding.requirement)
                if finding.requirement != requirement_of(item) and report.passed:
                    report.outcome = "failed"
                    report.longrepr = _sentence(finding)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the findings of a finished case, in the controller, from whichever process ran it."""
        self.kit_errors += [text for name, text in report.sections if name == _PROPERTY]
        if report.when == "teardown":
            self.findings += [Finding.from_dict(value) for name, value in report.user_properties if name == _PROPERTY]

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name the outcomes that pytest doesn't know."""
        outcome = getattr(report, "cbspec_outcome", "")
        if report.when == "teardown" or not outcome:
            return None
        letter = {Outcome.WARNED: "w", Outcome.INCONCLUSIVE: "?", Outcome.NOT_EXERCISED: "-"}.get(outcome)
        return (str(outcome), letter, str(outcome).upper()) if letter else None


class _Alarm:
    """Raises TimeUp in the code inside when `seconds` are over (None: never)."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        if self._seconds <= 0:
            raise TimeUp
        self._before = signal.signal(signal.SIGALRM, self._strike)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *exc: object) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)

    @staticmethod
    def _strike(number: int, frame: FrameType | None) -> None:
        raise TimeUp


def requirement_of(item: pytest.Item) -> str:
    """Return the requirement that a case carries."""
    mark = item.get_closest_marker("requirement")
    return str(mark.args[0]) if mark else ""


def _case_name(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("conformance/")


def _show(report: pytest.TestReport, finding: Finding) -> None:
    report.cbspec_outcome = str(finding.outcome)
    if finding.outcome is Outcome.FAILED:
        report.outcome, report.longrepr = "failed", _sentence(finding)
    elif finding.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED):
        report.outcome = "skipped"
        report.longrepr = (report.location[0], report.location[1] or 0, f"{finding.outcome}: {finding.reason}")
    else:
        report.outcome, report.longrepr = "passed", None


def _sentence(finding: Finding) -> str:
    return (
        f"{finding.requirement}: {find(finding.requirement).demand}\n"
        f"expected {finding.expected}\nseen     {finding.seen}\n{finding.exchange}"
    )
