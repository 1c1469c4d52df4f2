"""The suite as a pytest plugin: preflight, fixtures, outcomes, report and exit code.

The controller runs the preflight once, before any case, and passes the facts to the workers.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import signal
import time
import tomllib
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from platformdirs import user_cache_path

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.exit_codes import ExitCode
from cbspec.profile.identity import IdentityError
from cbspec.profile.profile import Profile, ProfileError, dump, from_mapping
from cbspec_conformance import SUITE
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom, NotExercised, RateLimited
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import TIME_UP, Finding, judge_run, of_interest, partial_findings
from cbspec_conformance.probe.tcp import DIALLER, Unreachable
from cbspec_conformance.probe.tempo import Tempo, retry
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.properties.explore import Explorer, Progress, kept_for
from cbspec_conformance.reporting.report import RunResult, counts, write_report
from cbspec_conformance.reporting.saved_run import RunEnd, TranscriptWriter, case_line
from cbspec_conformance.runner.blame import can_blame
from cbspec_conformance.runner.embedded import SimulatorFailed
from cbspec_conformance.runner.junit import complete
from cbspec_conformance.runner.options import Options, command
from cbspec_conformance.runner.outcomes import (
    LEGEND,
    Outcomes,
    TimeUp,
    case_name,
    findings_of,
    kit_errors_of,
    requirement_of,
    status_of,
    transcript_of,
    waiting_of,
)
from cbspec_conformance.runner.outputs import write_outputs
from cbspec_conformance.target.capacity import explained
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.life import STAYS_UP, Life
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for, with_room
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts

_PLACES = {"first": -1, "last": 1, "final": 2}

_PYTESTS = {
    pytest.ExitCode.INTERRUPTED: ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: ExitCode.KIT_ERROR,
    pytest.ExitCode.USAGE_ERROR: ExitCode.WRONG_USE,
    pytest.ExitCode.NO_TESTS_COLLECTED: ExitCode.NOTHING_TO_JUDGE,
}
"""The exit codes of all commands for those of pytest."""


class Suite:
    """One run of the suite, in the controller or in a worker.

    Arguments: `config` is pytest's; `options` and `profile` are the user's; without a profile, `simulator` waits for
    the embedded simulator and returns its profile (see `cbspec_conformance.runner.entry`); `briefing` is the
    controller's message to a worker, in JSON.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        profile: Profile | None,
        simulator: Callable[[], Profile] | None,
        briefing: str | None,
    ) -> None:
        set_hypothesis_home_dir(user_cache_path("cbspec") / "hypothesis")
        self._config = config
        self._profile = profile
        self._simulator = simulator
        self._is_worker = briefing is not None
        self._shared: SharedParts | None = None
        self._life = Life()
        self._run_name = uuid.uuid4().hex
        self._judged = str(profile.target.address) if profile is not None else "embedded"
        self._findings: list[Finding] = partial_findings(options.only) if options.own_cases else []
        self._kit_errors: list[str] = []
        self._unwritten: list[str] = []  # errors of files, as text
        self._selected: list[str] = []
        self._order: dict[str, int] = {}
        self._turns: dict[str, int] = {}  # of the cases that xdist's workers run, by name
        self._interrupted = False
        self._ends_early = False
        self._seconds = self._waiting = 0.0
        self._outcomes = Outcomes(options.baseline, transcripts=options.transcript is not None)
        self._writer: TranscriptWriter | None = None
        self.options = options
        self.facts = Facts()
        self.locks = Locks(None)
        seconds = options.max_time
        if briefing is not None:
            run = json.loads(briefing)
            self._judged, seconds = run["judged"], run["seconds"]
            plan = replace(options.plan, seed=run["seed"])
            self.options = replace(options, plan=plan, shuffle=run["shuffle"])
            self.facts = msgspec.convert(run["facts"], Facts)
            self.locks = Locks.for_run(run["run"])
            judged_profile = from_mapping(tomllib.loads(run["profile"]), Path())
            self._share(judged_profile, run["workers"])
            if self.facts.address and (address := judged_profile.target.address) is not None:
                DIALLER.kept[address.host, address.port] = self.facts.address
        self._deadline = time.monotonic() + seconds

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - a class of xdist's
        """Send the briefing to a worker."""
        node.workerinput["cbspec"] = json.dumps(
            {
                "profile": dump(self.shared.profile),
                "facts": msgspec.to_builtins(self.facts),
                "seed": self.options.plan.seed,
                "shuffle": self.options.shuffle,
                "judged": self._judged,
                "run": self._run_name,
                "seconds": self._deadline - time.monotonic(),
                "workers": node.workerinput["workercount"],
            }
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:
        """Record the order of the cases, which a worker has collected."""
        self._turns = {case_name(each): number for number, each in enumerate(ids)}

    @property
    def shared(self) -> SharedParts:
        """The objects that all cases of one process share; available after the preflight."""
        if self._shared is None:
            raise RuntimeError("the relay has not been examined yet")
        return self._shared

    def _share(self, profile: Profile, workers: int) -> None:
        """Create the objects that all cases of one process share, for a relay that `workers` processes use."""
        if self.options.transport:
            profile = replace(profile, target=replace(profile.target, transport=self.options.transport))
        self._shared = SharedParts(profile, self.facts.latency, self.locks, workers)
        self._shared.issuer.clock, self._shared.issuer.shift = self.facts.clock, self.facts.shift
        restarts = any(condition.begin is not None for condition in profile.conditions.values())
        self._life = Life(workers, provoked=restarts)

    # ------------------------------------------------------------------ before and after all cases

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Wait for the relay and run the preflight."""
        if self._is_worker or session.config.option.collectonly:
            return
        try:
            with time_limit(self._deadline):
                self._examine()
        except (NoTarget, NotExercised, SimulatorFailed) as error:
            self._exit(str(error))
        except (ProfileError, IdentityError, OSError) as error:
            self._exit(str(error), ExitCode.WRONG_USE)
        except TimeUp:
            self._exit(f"nothing to judge: {TIME_UP} before the relay was examined")
        except KeyboardInterrupt:
            self._exit("interrupted before the relay was examined", ExitCode.INTERRUPTED)

    def _exit(self, reason: str, code: ExitCode = ExitCode.NOTHING_TO_JUDGE) -> None:
        self._ends_early = True
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:  # pytest prints the reason, and its reporter would repeat it
            self._config.pluginmanager.unregister(reporter)
        pytest.exit(reason, returncode=code)

    def _examine(self) -> None:
        profile = self._simulator() if self._simulator is not None else self._profile
        if profile is None:
            raise RuntimeError("neither a profile nor a simulator was given")
        self._share(profile, workers=1)
        target = self.target("preflight")
        wait_for(target, self.options.wait)
        self.facts = with_room(target, examine(target))
        self.shared.tempo = Tempo.of(self.shared.profile.target, self.facts.latency)
        self._life.look(target)
        target.close()
        self._findings += target.log.findings
        if self.options.transcript is not None:
            self._writer = TranscriptWriter(self.options.transcript)
            self._writer.begin(self._result(), narrowed=self._is_narrowed())
            self._writer.add(case_line("preflight", "", target.transcript))

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Record the fixed order of the cases: that of files and lines."""
        self._order.setdefault(item.nodeid, len(self._order))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Apply --only and --shuffle, and move the cases marked `first`, `last` and `final`."""
        if self.options.only:
            chosen = {id(item): self._is_selected(item) for item in items}
            config.hook.pytest_deselected(items=[item for item in items if not chosen[id(item)]])
            items[:] = [item for item in items if chosen[id(item)]]
        items.sort(key=lambda item: self._order.get(item.nodeid, 0))  # whatever other plugins did
        if self.options.shuffle is not None:
            Random(self.options.shuffle).shuffle(items)  # noqa: S311 - no secret
        items.sort(key=_turn)

    def _is_selected(self, item: pytest.Item) -> bool:
        """Whether a case can blame a requirement of --only."""
        own, only = requirement_of(item), self.options.only
        return own in only or (not self.options.own_cases and any(can_blame(item.path, own, each) for each in only))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record the requirements of the selected cases."""
        every = [requirement_of(item) for item in session.items]
        self._selected = [own for own in every if not self.options.only or own in self.options.only]
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and not session.config.option.collectonly:
            reporter.write_line(LEGEND + (", k known" if self.options.baseline.entries else ""))
        gc.freeze()  # the present objects stay alive, so the garbage collector can skip them

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Set the exit code from the verdict. A file that pytest can't write does not prevent the report."""
        try:
            yield
            if (file := self._config.getoption("xmlpath", None)) and not self._is_worker:
                complete(Path(os.path.expandvars(file)).expanduser())
        except OSError as error:
            self._unwritten.append(f"{error.filename or '--junit-xml'}: {error.strerror}; the file was not written")
        if not self._is_worker:
            Locks.remove(self._run_name)
        if self._is_worker or self._ends_early:
            return
        self._interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if exitstatus in _PYTESTS:
            session.exitstatus = _PYTESTS[pytest.ExitCode(exitstatus)]
        elif self._shared is not None:
            session.exitstatus = self._result().exit_code

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write the report and the files, even after an interruption."""
        if self._is_worker or self._shared is None:
            return
        self._findings.sort(key=lambda finding: self._turns.get(finding.case, -1))  # workers report in any order
        result = self._result()
        if self._writer is not None:
            end = RunEnd(tuple(self._selected), (), self._interrupted, self.options.only, self.options.own_cases)
            self._writer.end(end, self._kit_errors)
            self._unwritten += [self._writer.error] if self._writer.error else []
        write_report(result, terminalreporter.write_line)
        verdicts = judge_run(REQUIREMENTS, of_a_run(self._findings), self._selected)
        write_outputs(self.options, result, self._findings, verdicts, terminalreporter, narrowed=self._is_narrowed())
        for text in self._unwritten:
            terminalreporter.write_line(text, red=True)
        colour = {"green" if result.green else "red": True}
        last = partial(terminalreporter.write_line, counts(result), bold=True, **colour)
        vars(terminalreporter)["summary_stats"] = last  # pytest's own line counts cases

    def _result(self) -> RunResult:
        baseline = self.options.baseline
        verdicts = baseline.applied(judge_run(REQUIREMENTS, of_a_run(self._findings), self._selected))
        return RunResult(
            verdicts,
            self.shared.profile,
            self.facts,
            self.options.fail_on_should,
            self.options.require_all,
            self._kit_errors,
            self._interrupted,
            self._plan,
            baseline,
            () if self._is_narrowed() else baseline.stale(verdicts),
            self.options.exchanges,
            command(self.options),
            self._seconds,
            self._waiting,
        )

    @property
    def _plan(self) -> str:
        """The effort of the properties, and the seed of a shuffled run."""
        seed = self.options.shuffle
        order = f"; cases shuffled by --shuffle={seed}" if seed is not None else ""
        return f"{self.options.plan}{order}"

    def _is_narrowed(self) -> bool:
        """Whether a selector may have dropped some cases of a requirement, so that its pass proves less."""
        option = self._config.option
        paths = [Path(self._config.rootpath, argument).resolve() for argument in self._config.args]
        elsewhere = any(path not in (SUITE, SUITE.parent) for path in paths)
        return bool(option.keyword or option.markexpr or option.deselect or elsewhere)

    # ------------------------------------------------------------------ one case

    def target(self, case: str, requirement: str = "") -> RelayUnderTest:
        """Return the relay under test for one case of a requirement."""
        return RelayUnderTest(self.shared, self.facts, case, requirement)

    @pytest.fixture
    def relay(self, request: pytest.FixtureRequest) -> Iterator[RelayUnderTest]:
        """Yield the relay under test to a case, and close its connections afterwards."""
        target = self.target(case_name(request.node.nodeid), requirement_of(request.node))
        in_turn = self.shared.profile.target.connections_at_once is not None
        alone = in_turn or request.node.get_closest_marker("alone") is not None
        with self.locks.alone() if alone else self.locks.shared():
            try:
                yield target
            finally:
                target.close()
                if target.transcript.is_large:
                    gc.collect()  # frames and exceptions refer to each other, and so delay the transcript's release
                if any(finding.requirement == "CB-HBT-001" for finding in target.log.findings):
                    self.facts = replace(self.facts, fence="unknown")  # this relay's heartbeat is no reliable fence

    @pytest.fixture
    def explorer(self, request: pytest.FixtureRequest, relay: RelayUnderTest) -> Explorer:
        """Return the explorer of a case's properties."""
        case = case_name(request.node.nodeid)
        kept = kept_for(self._judged, case)
        return Explorer(
            self.options.plan,
            case,
            kept=kept,
            remark=relay.log.remark,
            progress=self._progress(),
            clock=lambda: relay.transcript.waiting,
        )

    def _progress(self) -> Progress:
        """Return the progress display: silent in a worker, which has no terminal."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._is_worker or not isinstance(reporter, pytest.TerminalReporter):
            return Progress()
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        return Progress(reporter, capture.global_and_fixture_disabled if capture else contextlib.nullcontext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a case. Retry it after a pause if the relay had no capacity or answered with its rate limit."""
        relay = pyfuncitem.funcargs.get("relay")
        if not isinstance(relay, RelayUnderTest):
            return None
        identifier = requirement_of(pyfuncitem)
        self._require_hello(identifier)
        arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
        with time_limit(self._deadline):
            self._life.check_back(relay)
            try:
                self._unless_paused(relay, lambda: until_room(relay, lambda: pyfuncitem.obj(**arguments)))
            except Exception as error:
                if not self._life.look(relay) and _is_explained_by_crash(error, identifier):
                    raise Inconclusive(f"the relay went down in this case (see {STAYS_UP})") from None
                raise explained(relay, error, identifier) from None
            self._life.look(relay)
        return True

    def _unless_paused(self, relay: RelayUnderTest, case: Callable[[], object]) -> None:
        """Run a case, and once more if it found something while the relay may have paused as a whole."""
        found: Exception | None = None
        try:
            self._try(relay, case)
        except (Broken, Inconclusive, Unreachable, HandshakeFailure) as error:
            found = error
        if (found is not None or relay.log.blames) and relay.paused() and relay.resumes():
            relay.log.begin_again()
            self._try(relay, case)
        elif found is not None:
            raise found

    def _try(self, relay: RelayUnderTest, case: Callable[[], object]) -> None:
        tempo = self.shared.tempo
        for pause in (*tempo.rate_pauses, None):
            relay.last_try = pause is None
            try:
                case()
            except RateLimited as limited:
                relay.close()
                if pause is None:
                    tempo.rate_struck += 1
                    raise Inconclusive(f"{limited}, repeatedly: declare tenants.rate in the profile") from None
                time.sleep(pause)
            else:
                return

    def _require_hello(self, identifier: str) -> None:
        """Raise Inconclusive at once if no hello is accepted: each case would cost several time-outs."""
        reason = self.facts.tls or self.facts.hello
        if reason and identifier != "CB-HEL-001" and identifier.split("-")[1] not in ("TLS", "MET", "WSK"):
            raise Inconclusive(f"hello is never served on this relay: {reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the case's findings to its report."""
        report = yield
        self._outcomes.settle(item, call, report)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the findings of a finished case in the controller."""
        own = next((str(value) for name, value in report.user_properties if name == "requirement"), "")
        self._findings += of_interest(findings_of(report), own, self.options.only)
        self._kit_errors += kit_errors_of(report) if report.when != "teardown" else []
        self._seconds += report.duration
        self._waiting += waiting_of(report)
        if self._writer is not None and (case := transcript_of(report)) is not None:
            self._writer.add(case)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name the outcomes that pytest does not know."""
        return status_of(report)


def _turn(item: pytest.Item) -> int:
    """Return the part of the run to which a case belongs."""
    return next((place for name, place in _PLACES.items() if item.get_closest_marker(name)), 0)


def _is_explained_by_crash(error: Exception, identifier: str) -> bool:
    """Whether a case failed because the relay went down, so that it says nothing about its requirement."""
    return isinstance(error, Broken | Inconclusive | Unreachable | HandshakeFailure) and "-ROB-" not in identifier


def until_room(relay: RelayUnderTest, case: Callable[[], object]) -> None:
    """Run a case, and retry it while the relay has no capacity: for as long as the relay may take to release it.

    After two cases for which this did not help, a case is not retried.
    """

    def attempt() -> None:
        try:
            case()
        except NoRoom:
            relay.close()
            raise

    try:
        retry(attempt, (NoRoom,), 0.0 if relay.shared.ledger.lost else relay.tempo.room_again, relay.clock)
    except NoRoom:
        relay.tempo.roomless += 1
        raise


@contextlib.contextmanager
def time_limit(deadline: float) -> Iterator[None]:
    """Raise TimeUp in the body when the monotonic clock reaches `deadline`."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeUp
    before = signal.signal(signal.SIGALRM, _raise_time_up)
    signal.setitimer(signal.ITIMER_REAL, remaining)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise_time_up(number: int, frame: FrameType | None) -> None:
    raise TimeUp
