"""The suite as a pytest plugin: preflight, fixtures, outcomes, report and exit code.

The controller runs the preflight once, before any case, and passes the facts to the workers.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import time
import tomllib
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from platformdirs import user_cache_path

from cbspec.catalogue.requirements import JudgedRole
from cbspec.exit_codes import ExitCode
from cbspec.profile.identity import IdentityError
from cbspec.profile.profile import Profile, ProfileError, dump, dump_public, from_mapping
from cbspec.tokens import foreign_keys
from cbspec_conformance import SUITE
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import (
    TIME_UP,
    Finding,
    Outcome,
    Verdict,
    judge_run,
    of_interest,
    partial_findings,
)
from cbspec_conformance.probe.tcp import DIALLER
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.probe.wire import LINGERING
from cbspec_conformance.properties import explore
from cbspec_conformance.properties.explore import Explorer, Progress, kept_for
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.github import annotate_failure
from cbspec_conformance.reporting.pinning import pinned
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.reporting.stream import case_lines
from cbspec_conformance.reporting.subject import JudgedSubject, judged_relay
from cbspec_conformance.runner.attempts import Attempts, measured, time_limit
from cbspec_conformance.runner.blame import can_blame
from cbspec_conformance.runner.captures import capture_for
from cbspec_conformance.runner.crew import CrewTurns, crew
from cbspec_conformance.runner.display import RunDisplay
from cbspec_conformance.runner.embedded import SimulatorFailed
from cbspec_conformance.runner.estimate import estimate
from cbspec_conformance.runner.marks import part_of
from cbspec_conformance.runner.options import Options, Verbosity, command
from cbspec_conformance.runner.outcomes import (
    EXIT_CODES,
    Outcomes,
    RunImpossible,
    TimeUp,
    case_name,
    cost_of,
    exchanges_of,
    findings_of,
    kit_errors_of,
    log_reports,
    new_failures,
    outcome_of,
    requirement_of,
    requirements_of,
    status_of,
    take_lines,
)
from cbspec_conformance.runner.outputs import write_outputs
from cbspec_conformance.runner.reservations import Needs, needs_of
from cbspec_conformance.runner.schedule import Schedule
from cbspec_conformance.runner.started import OF_THE_PROCESS, START, StartedRelay
from cbspec_conformance.runner.streaming import stream_for, wants_stream
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.jobs import jobs_while_waiting, with_jobs
from cbspec_conformance.target.learned import Learned, learn, learned
from cbspec_conformance.target.life import Life
from cbspec_conformance.target.locks import Locks, Turns
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for, with_room, with_short_cuts, with_silence
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts, number_from


class Suite:
    """One run of the suite, in the controller or in a worker.

    Arguments: `config` is pytest's; `options` and `profile` are the user's; without a profile, `simulator` waits for
    the embedded simulator and returns its profile (see `cbspec_conformance.runner.entry`); `briefing` is the
    controller's message to a worker, in JSON; `started` is the relay's process, if the run has started it.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        profile: Profile | None,
        simulator: Callable[[], Profile] | None,
        briefing: str | None,
        started: StartedRelay | None = None,
    ) -> None:
        set_hypothesis_home_dir(user_cache_path("cbspec") / "hypothesis")
        self._config = config
        self._profile = profile
        self._simulator = simulator
        self._is_worker = briefing is not None
        self._shared: SharedParts | None = None
        self._life = Life()
        self._run_name = uuid.uuid4().hex
        self._judged = options.relay_command or (str(profile.target.address) if profile is not None else "embedded")
        self._started = started
        self._findings: list[Finding] = partial_findings(options.only) if options.own_cases else []
        self._kit_errors: list[str] = []
        self._selected: list[str] = []
        self._order: dict[str, int] = {}
        self._places: dict[str, int] = {}  # of the cases that xdist's workers run, by name
        self._interrupted = False
        self._ends_early = False
        self._costs: dict[str, Cost] = {}
        self._display = RunDisplay(None, Verbosity.QUIET)
        self._stopped = ""  # the requirement whose failure ended the run, with --fail-fast
        self._needed: dict[str, Needs] = {}  # by case
        self._began = time.time()
        self._stream = None if self._is_worker else stream_for(options, config, self._began)
        self._preflight: Transcript | None = None
        self._capture = None if self._is_worker else capture_for(options, config, self._judged)
        self.options = options
        self.facts = Facts()
        self._turns: Turns = Locks(None)
        self._learned_before: Learned = {}
        seconds = options.max_time
        if briefing is not None:
            run = json.loads(briefing)
            self._judged, seconds = run["judged"], run["seconds"]
            plan = replace(options.plan, seed=run["seed"])
            self.options = replace(options, plan=plan, shuffle=run["shuffle"])
            self._began = run["began"]
            self.facts = msgspec.convert(run["facts"], Facts)
            judged_profile = from_mapping(tomllib.loads(run["profile"]), Path())
            self._turns = locks = Locks.for_run(run["run"])
            self._share(judged_profile, run["workers"], locks.folder)
            if self.facts.address and (address := judged_profile.target.address) is not None:
                DIALLER.kept[address.host, address.port] = self.facts.address
        self._deadline = time.monotonic() + seconds
        began = self._began if wants_stream(options) else None
        exchanges = Verbosity.take(config) > Verbosity.USUAL
        self._outcomes = Outcomes(options.baseline, options.only, began, options.catalogue, exchanges=exchanges)

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
                "began": self._began,
                "seconds": self._deadline - time.monotonic(),
                "workers": node.workerinput["workercount"],
            }
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Record the order of the cases, which a worker has collected."""
        if not self._places:
            self._begin([""] * len(ids), "in several processes")
        self._places = {case_name(each): number for number, each in enumerate(ids)}

    @property
    def shared(self) -> SharedParts:
        """The objects that all cases of one process share; available after the preflight."""
        if self._shared is None:
            raise RuntimeError("the relay has not been examined yet")
        return self._shared

    def _share(self, profile: Profile, workers: int, folder: Path | None = None, *, forked: bool = False) -> None:
        """Create the objects that all cases of one process share, for a relay that `workers` processes use.

        `folder` is that of the processes' common files; see `SharedParts` for `forked`.
        """
        if self.options.transport:
            profile = replace(profile, target=replace(profile.target, transport=self.options.transport))
        latency, unanswered = self.facts.latency, self.facts.unanswered
        captures = self.options.pcapng is not None
        self._shared = SharedParts(
            profile, latency, folder, workers, forked=forked, unanswered=unanswered, captures=captures
        )
        self._shared.issuer.clock, self._shared.issuer.shift = self.facts.clock, self.facts.shift
        back = self.options.wait or START if self.options.relay_command else 0.0
        self._life = Life(workers, back=back)

    # ------------------------------------------------------------------ before and after all cases

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Wait for the relay and run the preflight."""
        if self._is_worker or session.config.option.collectonly:
            return
        self._display = RunDisplay.of(self._config)
        address = self._profile.target.address if self._profile is not None else "the embedded simulator"
        self._display.now(f"Examining {address} …")
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
        self._display.end()
        if self._stream is not None:
            self._stream.begin(self._subject)
            nothing = RunResult(
                judge_run(self.options.catalogue.of(JudgedRole.RELAY), (), ()),
                self._subject,
                interrupted=code is ExitCode.INTERRUPTED,
            )
            reason = "\n".join([reason, *self._stream.end(nothing, reason, code)])
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:  # pytest prints the reason, and its reporter would repeat it
            annotate_failure(reason, reporter.write_line)
            self._config.pluginmanager.unregister(reporter)
        raise RunImpossible(reason, code)

    def _examine(self) -> None:
        profile = self._simulator() if self._simulator is not None else self._profile
        if profile is None:
            raise RuntimeError("neither a profile nor a simulator was given")
        self._share(profile, workers=1)
        target = self.target("preflight")
        wait_for(target, self.options.wait)
        target.learn(with_short_cuts(target, with_silence(target, examine(target))))
        target.learn(with_jobs(target, target.facts, self.options.jobs))
        self.facts = with_room(target, target.facts)
        self.shared.tempo = Tempo.of(self.shared.profile.target, self.facts.latency)
        self._life.look(target)
        target.close()
        self._findings += pinned(target.log.findings, self.options.catalogue)
        self._preflight = target.transcript

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Record the fixed order of the cases: that of files and lines."""
        self._order.setdefault(item.nodeid, len(self._order))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Apply --only, --catalogue and --shuffle, and move the cases marked `first`, `last` and `final`."""
        if self.options.only or not self.options.catalogue.is_present:
            chosen = {id(item): self._is_selected(item) for item in items}
            config.hook.pytest_deselected(items=[item for item in items if not chosen[id(item)]])
            items[:] = [item for item in items if chosen[id(item)]]
        items.sort(key=lambda item: self._order.get(item.nodeid, 0))  # whatever other plugins did
        if self.options.shuffle is not None:
            Random(self.options.shuffle).shuffle(items)  # noqa: S311 - no secret
        # Cases that need the relay alone come after the others of their part, which may run at the same time.
        items.sort(key=lambda item: (part_of(item), self._shared is not None and self._needs(item).alone))

    def _is_selected(self, item: pytest.Item) -> bool:
        """Whether --catalogue has the case's requirement, and the case can blame a requirement of --only."""
        own, only = requirement_of(item), self.options.only
        if own and own not in self.options.catalogue.requirements:
            return False
        if not only:
            return True
        named = any(each in only for each in requirements_of(item))
        return named or (not self.options.own_cases and any(can_blame(item.path, own, each) for each in only))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record the requirements of the selected cases."""
        every = [requirement_of(item) for item in session.items]
        self._selected = [own for own in every if not self.options.only or own in self.options.only]
        if self._shared is not None and not self._is_worker:
            jobs = self._jobs(session)
            self._begin(every, f"{jobs} at once" if jobs > 1 else "one at a time", max(1, jobs))
        gc.freeze()  # the present objects stay alive, so the garbage collector can skip them

    def _begin(self, cases: Sequence[str], how: str, jobs: int = 1) -> None:
        trip, plan = self.facts.latency.trip, self.options.plan
        name = judged_relay(self.shared.profile, self.facts).name
        count = f"{len(cases)} case{'s' if len(cases) > 1 else ''}, {how}"
        seconds = estimate(len(cases), trip, jobs)
        head = f"Judging {name}\n{count}, round trip {1000 * trip:.1f} ms, {plan.effort.name} effort"
        if (served := self.facts.connections) is not None:
            few = f"{served} connections" if served > 1 else "one connection"
            head += f"\nIt serves only {few} at once: cases that need more are left out"
        self._display.begin(head, cases, seconds, self.options.catalogue)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Set the exit code from the verdict."""
        LINGERING.close()
        yield
        if not self._is_worker:
            Locks.remove(self._run_name)
        self._display.end()
        if self._is_worker or self._ends_early:
            return
        if self._stopped and exitstatus == pytest.ExitCode.INTERRUPTED:
            exitstatus = pytest.ExitCode.TESTS_FAILED  # xdist ends a run after its last failure so
        self._interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._started is not None and (ended := self._started.finding(self._findings)) is not None:
            self._findings.append(ended)
            if self._stream is not None:
                self._stream.add(case_lines(OF_THE_PROCESS, Transcript(), [ended], self._began))
        if exitstatus in EXIT_CODES:
            session.exitstatus = EXIT_CODES[pytest.ExitCode(exitstatus)]
        elif self._shared is not None:
            session.exitstatus = self._result().exit_code
        if self._display.quiet and self._display.terminal is not None:
            self.pytest_terminal_summary(self._display.terminal)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the report and the files, even after an interruption."""
        if self._is_worker or self._shared is None:
            return
        self._findings.sort(key=lambda finding: self._places.get(finding.case, -1))  # workers report in any order
        result = self._result()
        self._display.report(result)
        verdicts = self._verdicts()
        narrowed, quiet, line = self._is_narrowed(), self._display.quiet, terminalreporter.write_line
        write_outputs(self.options, result, self._findings, verdicts, line, narrowed=narrowed, quiet=quiet)
        self._begin_stream()
        unwritten = [*(self._stream.end(result) if self._stream is not None else ())]
        for text in filter(None, (*unwritten, self._capture.error if self._capture is not None else "")):
            terminalreporter.write_line(text, red=True)

    @property
    def _subject(self) -> JudgedSubject:
        if self._shared is None:
            return JudgedSubject(JudgedRole.RELAY, self._judged, self._judged, "tcp")
        return judged_relay(self.shared.profile, self.facts, self._preflight)

    def _begin_stream(self) -> None:
        """Write the beginning of the stream: what is known after the preflight and the selection of the cases."""
        if self._stream is None or self._preflight is None or self._stream.has_begun:
            return
        self._stream.begin(
            self._subject,
            command=command(self.options),
            profile=dump_public(self.shared.profile),
            facts=self.facts,
            plan=self._plan,
            narrowed=self._is_narrowed(),
            own_cases=self.options.own_cases,
            selected=tuple(self._selected),
        )
        found = [finding for finding in self._findings if finding.case]
        self._stream.preflight(self._preflight, found)

    def _record(self, reports: Sequence[pytest.TestReport]) -> None:
        """Write the lines that reports carry to the stream."""
        if self._stream is not None:
            for report in reports:
                self._stream.add(take_lines(report))

    def _result(self) -> RunResult:
        baseline = self.options.baseline
        verdicts = baseline.applied(self._verdicts())
        notes = [self._started.summary()] if self._started is not None and self._started.ends else []
        notes += [f"The run ended after the first failure, {self._stopped} (--fail-fast)."] if self._stopped else []
        subject = msgspec.structs.replace(self._subject, notes=(*self._subject.notes, *notes))
        return RunResult(
            verdicts,
            subject,
            self.options.fail_on_should,
            self.options.require_all,
            self._kit_errors,
            self._interrupted,
            self._plan,
            baseline,
            () if self._is_narrowed() else baseline.stale(verdicts),
            self.options.exchanges,
            command(self.options),
            self._costs,
            self.options.costs,
            catalogue=self.options.catalogue,
        )

    def _verdicts(self) -> list[Verdict]:
        """Return the verdicts before the baseline is applied."""
        rows = self.options.catalogue.of(JudgedRole.RELAY)
        return judge_run(rows, of_a_run(self._findings), self._selected)

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

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the cases at the same time, if several may run, and report them in the fixed order."""
        self._begin_stream()
        jobs = self._jobs(session)
        if jobs < 2:
            return None
        schedule = Schedule([self._needs(item) for item in session.items])
        ready: dict[int, list[pytest.TestReport]] = {}
        due = 0
        self._share(self.shared.profile, jobs, Locks.for_run(self._run_name).folder, forked=True)
        if len(session.items) > jobs:
            await_key = foreign_keys.prepare()
            explore.prepare()
            await_key()
        with crew(session, jobs, self) as workers:
            try:
                for case, reports in workers.run(schedule):
                    self._record(reports)  # at once: an earlier case may take long
                    ready[case] = reports
                    while due in ready:
                        log_reports(session.items[due], ready.pop(due))
                        due += 1
                    if self._stopped or (self.options.fail_fast and any(r.failed for r in reports)):
                        break
                    if session.shouldfail:
                        raise session.Failed(session.shouldfail)
                    if session.shouldstop:
                        raise session.Interrupted(session.shouldstop)
            finally:
                for case in sorted(ready):
                    log_reports(session.items[case], ready.pop(case))
        return True

    def _jobs(self, session: pytest.Session) -> int:
        """Return the number of cases to run at the same time."""
        option = session.config.option
        if self._is_worker or option.collectonly or getattr(option, "numprocesses", None) or not hasattr(os, "fork"):
            return 1
        return min(self.facts.jobs, len(session.items))

    def _needs(self, item: pytest.Item) -> Needs:
        case = case_name(item.nodeid)
        if case not in self._needed:
            self._needed[case] = needs_of(item, case, self.shared.profile)
        return self._needed[case]

    def join(self, number: int, postpone: Callable[[], None]) -> None:
        """Become one of several processes of the run; `postpone` ends a case, which begins again when no other runs."""
        self._is_worker = True
        self._turns = CrewTurns(postpone)
        number_from(number + 1)

    def has_alone(self, item: pytest.Item) -> None:
        """Take note that a case has the relay alone from its beginning."""
        self._needed[case_name(item.nodeid)] = replace(self._needs(item), alone=True)

    def workers(self, began_with: int) -> int:
        """Return how many workers are useful now: more if cases wait for answers that don't come."""
        if self.options.jobs is None and self.shared.tempo.silent:
            return jobs_while_waiting(self.shared.profile, self.facts, began_with)
        return began_with

    def learned(self) -> Learned:
        """Return what this process has learned about the relay."""
        return learned(self.shared, self._learned_before)

    def learn(self, more: Learned) -> None:
        """Add what another process has learned."""
        learn(self.shared, more)
        self._learned_before = learned(self.shared) if self._is_worker else {}

    # ------------------------------------------------------------------ one case

    def target(self, case: str, requirement: str = "") -> RelayUnderTest:
        """Return the relay under test for one case of a requirement."""
        return RelayUnderTest(self.shared, self.facts, case, requirement)

    @pytest.fixture
    def relay(self, request: pytest.FixtureRequest) -> Iterator[RelayUnderTest]:
        """Yield the relay under test to a case, and close its connections afterwards."""
        target = self.target(case_name(request.node.nodeid), requirement_of(request.node))
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
            clock=lambda: relay.transcript.cost.waiting,
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
        with measured(relay.transcript.cost), time_limit(self._deadline):
            attempts = Attempts(relay, self._life, identifier, lambda: pyfuncitem.obj(**arguments))
            attempts.in_turn(self._turns, self._needs(pyfuncitem))
        return True

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
        found = of_interest(findings_of(report), own, self.options.only)
        self._findings += found
        self._kit_errors += kit_errors_of(report) if report.when != "teardown" else []
        if cost := cost_of(report):
            self._costs[case_name(report.nodeid)] = cost
        if self._capture is not None:
            self._capture.add(report)
        self._record([report])
        if not self._is_worker and (outcome := outcome_of(report)) is not None:
            self._show(report, own, outcome, found)

    def _show(self, report: pytest.TestReport, own: str, outcome: Outcome, found: Sequence[Finding]) -> None:
        """Show a case that has ended, and the requirements that it has shown to fail."""
        self._display.ended(case_name(report.nodeid), own, outcome, exchanges_of(report), cases=len(self._places))
        for sentence in self._started.news() if self._started else ():
            self._display.say(sentence)
        for finding in new_failures(found, self._findings, self.options.baseline):
            self._display.failed(finding)
            self._stopped = self._stopped or (finding.requirement if self.options.fail_fast else "")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool | None:
        """Skip the cases after the first failure, with --fail-fast."""
        return True if self._stopped else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Name the outcomes that pytest does not know."""
        return status_of(report)
