"""Runs cases at the same time in forked processes.

A fork costs milliseconds, since nothing is imported or collected again. Each worker has a main thread of its own, which
the time limit's signal and Hypothesis need, and all processors are used. The parent decides which case begins when, and
passes on what a case has learned about the relay together with later cases.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol

import pytest
from _pytest.runner import runtestprotocol

from cbspec_conformance.runner.outcomes import Postponed
from cbspec_conformance.runner.schedule import Schedule
from cbspec_conformance.target.learned import Learned

_POSTPONED: Final = "postponed"


class Member(Protocol):
    """What a worker needs from the suite."""

    def join(self, number: int, postpone: Callable[[], None]) -> None:
        """Become a worker with a number from 0; `postpone` ends a case, which begins again when no other runs."""

    def has_alone(self, item: pytest.Item) -> None:
        """Take note that a case has the relay alone from its beginning."""

    def workers(self, began_with: int) -> int:
        """Return how many workers are useful now."""

    def learned(self) -> Learned:
        """Return what this process has learned about the relay."""

    def learn(self, more: Learned) -> None:
        """Add what another process has learned."""


class CrewTurns:
    """The turns of a worker's cases, which the parent decides: it starts only cases that may run.

    Arguments: `postpone` ends a case, which begins again when no other runs.
    """

    def __init__(self, postpone: Callable[[], None]) -> None:
        self._postpone = postpone

    def shared(self, names: Iterable[str]) -> AbstractContextManager[object]:
        """Share the relay with other cases that use none of the things with these names."""
        return nullcontext()

    @contextmanager
    def alone(self, *, began: bool) -> Iterator[None]:
        """Have the relay alone; `began` says that the case needed it from its beginning."""
        if not began:
            self._postpone()
        yield


@dataclass(slots=True)
class _Worker:
    pid: int
    connection: Connection
    case: int | None = field(default=None)


class Crew:
    """Workers that run the cases of one session.

    Arguments: `count` is their number; `member` prepares and informs them.
    """

    def __init__(self, session: pytest.Session, count: int, member: Member) -> None:
        self._session = session
        self._member = member
        self._numbers = iter(range(1_000_000))
        self._workers: list[_Worker] = []
        for _ in range(count):
            self._fork()

    def _fork(self) -> None:
        ours, theirs = Pipe()
        number = next(self._numbers)
        pid = os.fork()
        if pid:
            theirs.close()
            self._workers.append(_Worker(pid, ours))
            return
        try:
            # A worker that kept the parent's ends would not notice the parent's death, nor would the others.
            for connection in (ours, *(worker.connection for worker in self._workers)):
                connection.close()
            _serve(self._session, theirs, number, self._member)
        finally:
            os._exit(0)  # nothing of the parent's is cleaned up twice

    def run(self, schedule: Schedule) -> Iterator[tuple[int, list[pytest.TestReport]]]:
        """Run the cases of a schedule, which are numbers of the session's items; yield each with its reports."""
        began_with = len(self._workers)
        while schedule.left:
            while len(self._workers) < self._member.workers(began_with):
                self._fork()
            while (idle := self._idle()) is not None and (case := schedule.begin()) is not None:
                idle.case = case
                self._send(idle, (case, schedule.is_alone(case), self._member.learned()))
            for ready in wait([worker.connection for worker in self._workers if worker.case is not None]):
                worker = next(each for each in self._workers if each.connection is ready)
                received = self._received(worker)
                case, worker.case = worker.case or 0, None
                if received == _POSTPONED:
                    schedule.postpone(case)
                else:
                    schedule.end(case)
                    yield case, self._reports(case, received)

    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._workers if worker.case is None), None)

    def _send(self, worker: _Worker, message: object) -> None:
        with suppress(OSError):  # if it has ended, reading says so
            worker.connection.send(message)

    def _received(self, worker: _Worker) -> Any:  # noqa: ANN401 - a message of a worker
        try:
            return worker.connection.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.connection.close()
            _, status = os.waitpid(worker.pid, 0)
            self._fork()
            return os.waitstatus_to_exitcode(status)

    def _reports(self, case: int, received: Any) -> list[pytest.TestReport]:  # noqa: ANN401 - a message of a worker
        item = self._session.items[case]
        if isinstance(received, int):
            return [lost(item, received)]
        data, learned = received
        self._member.learn(learned)
        hook = item.config.hook
        return [hook.pytest_report_from_serializable(config=item.config, data=each) for each in data]

    def close(self) -> None:
        """End the workers, and whatever they are doing."""
        for worker in self._workers:
            worker.connection.close()
            os.kill(worker.pid, signal.SIGTERM)
        for worker in self._workers:
            os.waitpid(worker.pid, 0)


def lost(item: pytest.Item, code: int) -> pytest.TestReport:
    """Return the report on a case whose process ended with a code."""
    text = f"{item.nodeid}: the process that ran the case ended by itself (exit code {code})"
    return pytest.TestReport(
        item.nodeid, item.location, {}, "failed", text, "call", [("cbspec: error of the kit", text)], 0.0
    )


@contextmanager
def crew(session: pytest.Session, count: int, member: Member) -> Iterator[Crew]:
    """Yield workers that end with the block."""
    made = Crew(session, count, member)
    try:
        yield made
    finally:
        made.close()


def _serve(session: pytest.Session, connection: Connection, number: int, member: Member) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _capture_alone(session.config)

    postponed = False

    def postpone() -> None:
        nonlocal postponed
        postponed = True
        raise Postponed

    member.join(number, postpone)
    hook, reports = session.config.hook, list[pytest.TestReport]()
    session.config.pluginmanager.register(_Protocol(reports), "cbspec-crew")
    while True:
        try:
            case, alone, learned = connection.recv()
        except EOFError:
            return
        member.learn(learned)
        reports.clear()
        item, postponed = session.items[case], False
        if alone:
            member.has_alone(item)
        # The next case is unknown: only the case itself is torn down after it, and what the next one lacks before that.
        session._setupstate.teardown_exact(item)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=item.parent)
        if postponed:
            item.user_properties.clear()
            connection.send(_POSTPONED)
            continue
        data = [hook.pytest_report_to_serializable(config=item.config, report=report) for report in reports]
        connection.send((data, member.learned()))


def _capture_alone(config: pytest.Config) -> None:
    """Capture output in files of this process: those of the parent have a position that all workers would share."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture is not None and capture.is_globally_capturing():
        capture.stop_global_capturing()
        capture.start_global_capturing()


class _Protocol:
    """Runs a case without reporting it: only the parent reports."""

    def __init__(self, reports: list[pytest.TestReport]) -> None:
        self._reports = reports

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        self._reports += runtestprotocol(item, log=False, nextitem=nextitem)
        return True
