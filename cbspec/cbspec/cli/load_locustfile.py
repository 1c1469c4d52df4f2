"""The locustfile of `cbspec load`: the clients, the count of sessions, the end of the run and the exit code."""

from __future__ import annotations

import logging
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from gevent import signal_handler
from locust import events
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_STOPPED, MasterRunner, Runner, WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from cbspec.cli.load_settings import Settings, aim_facts, invariants, token_source
from cbspec.exit_codes import ExitCode
from cbspec_client.conversation import Score
from cbspec_client.load import Aim, RelayUser
from cbspec_conformance.target.tokens import secrets_of

_SETTINGS: Final = Settings.from_environment()
_INTERVAL: Final = 0.2  # seconds between two checks of the count
_PROGRESS: Final = 2.0  # seconds between two progress lines


class DefaultUser(RelayUser):
    """The client of a load test without --user."""


def _prepare(settings: Settings) -> None:
    profile = settings.profile()
    tokens = token_source(profile, settings.tenants)
    onlooker = invariants(secrets_of(profile))
    facts = aim_facts(profile, settings.host_address)
    RelayUser.aim = Aim(tokens=tokens, onlooker=onlooker, **facts)  # type: ignore[arg-type] # by name
    RelayUser.hold, RelayUser.pause, RelayUser.timeout = settings.hold, settings.pause, settings.timeout
    RelayUser.again = settings.again


def _own_users(file: str) -> dict[str, type[RelayUser]]:
    """Return the client classes of the file given by --user."""
    sys.path.insert(0, str(Path(file).parent))
    found = runpy.run_path(file)
    return {
        name: thing
        for name, thing in found.items()
        if isinstance(thing, type) and issubclass(thing, RelayUser) and not thing.abstract
    }


class SessionCount:
    """Counts the sessions of all processes, prints the progress, and ends the run after the last session."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._scores: dict[str, Score] = {}
        self._assigned: dict[str, int] = {}  # sessions of each worker
        self.complete = False
        self.lost = 0
        events.report_to_master.add_listener(self._report_score)
        events.worker_report.add_listener(self._receive_score)
        events.test_start.add_listener(self._reset)

    @property
    def total(self) -> Score:
        """The sum of the scores of all processes."""
        master = isinstance(self.environment.runner, MasterRunner)
        return Score.sum(self._scores.values() if master else [RelayUser.score])

    @property
    def wanted(self) -> int:
        """The number of sessions to start."""
        runner = self.environment.runner
        return runner.target_user_count if runner is not None else 0

    def run(self) -> None:
        """Print the progress until the run ends, and end it."""
        printed, since = "", 0.0
        while not self.complete:
            time.sleep(_INTERVAL)
            since += _INTERVAL
            if since >= _PROGRESS and (line := self._progress()) != printed:
                print(line, file=sys.stderr, flush=True)
                printed, since = line, 0.0
            self._end_if_complete()

    def _progress(self) -> str:
        total = self.total
        of = "" if _SETTINGS.again else f" of {self.wanted}"
        return f"{total.begun}{of} sessions begun, {total.open} open, {total.failed} failed"

    def _end_if_complete(self) -> None:
        runner, page = self.environment.runner, self.environment.web_ui
        if runner is None or runner.state not in (STATE_RUNNING, STATE_STOPPED):
            return
        self.lost = self._lost(runner)
        if runner.state == STATE_STOPPED:
            if page is None:
                runner.quit()  # without workers, Locust stops and waits for another one
            return
        if _SETTINGS.again or self.total.ended + self.lost < self.wanted:
            return
        self.complete = True
        options = self.environment.parsed_options
        if options is not None and options.csv_prefix:
            time.sleep(CSV_STATS_INTERVAL_SEC + _INTERVAL)  # Locust writes its files this often
        if page is None:
            runner.quit()
        else:
            runner.stop()
            print("all sessions have ended; Ctrl-C ends the page", file=sys.stderr, flush=True)

    def _lost(self, runner: Runner) -> int:
        """Return the number of unfinished sessions of workers that have gone."""
        if not isinstance(runner, MasterRunner):
            return 0
        here = {client.id for client in [*runner.clients.ready, *runner.clients.spawning, *runner.clients.running]}
        return sum(most - self._scores[worker].ended for worker, most in self._assigned.items() if worker not in here)

    def _reset(self, **_: object) -> None:
        RelayUser.score = Score()
        self._scores.clear()
        self._assigned.clear()
        self.complete = False

    def _report_score(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        data["cbspec"] = msgspec.to_builtins(RelayUser.score), self.wanted

    def _receive_score(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        if "cbspec" in data:
            score, self._assigned[client_id] = data["cbspec"]
            self._scores[client_id] = msgspec.convert(score, Score)


class LoadSummary:
    """Prints the result at the end, and sets the exit code of Locust."""

    def __init__(self) -> None:
        self._interrupted = False
        # Locust calls the listeners of `quitting` in reverse order: this one after those of the runner, which collect
        # the last reports of the workers.
        events.quitting.add_listener(self._set_exit_code)
        events.quit.add_listener(self._print)
        events.init.add_listener(self._begin)

    def _begin(self, environment: Environment, **_: object) -> None:
        self._environment = environment
        self._count = SessionCount(environment)
        # Python's default handler raises in the current greenlet, and might end only that one.
        signal_handler(signal.SIGINT, self._interrupt)
        signal_handler(signal.SIGTERM, self._interrupt)  # before Locust's own, which ends the process
        if not isinstance(environment.runner, WorkerRunner):
            threading.Thread(target=self._count.run, daemon=True).start()  # a greenlet: Locust patches threading

    def _interrupt(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
        runner, page = self._environment.runner, self._environment.web_ui
        if runner is None:
            return
        self._interrupted = True
        began = runner.state != STATE_INIT
        runner.quit()
        if page is not None:
            page.stop()
        elif not began:
            print("no session had begun", file=sys.stderr, flush=True)
            os._exit(ExitCode.INTERRUPTED)  # the main greenlet of Locust is waiting for workers

    def _set_exit_code(self, environment: Environment, **_: object) -> None:
        total, options = self._count.total, environment.parsed_options
        unfinished = not _SETTINGS.again and total.ended < self._count.wanted
        if isinstance(environment.runner, WorkerRunner):
            environment.process_exit_code = 0  # the master sets the exit code
        elif total.broken:
            environment.process_exit_code = ExitCode.NOT_CONFORMING
        elif total.failed or environment.stats.errors:
            environment.process_exit_code = options.exit_code_on_error if options is not None else 1
        elif self._interrupted and not self._count.complete and not _SETTINGS.again:
            environment.process_exit_code = ExitCode.INTERRUPTED
        else:
            environment.process_exit_code = int(unfinished)

    def _print(self, **_: object) -> None:
        if isinstance(self._environment.runner, WorkerRunner):
            return
        total = self._count.total
        interrupted = f", {total.open} interrupted" if total.open else ""
        print(f"{total.begun} sessions: {total.well} succeeded, {total.failed} failed{interrupted}")
        if self._count.lost:
            print(f"{self._count.lost} of them were lost with their worker")
        for requirement, broken in sorted(total.broken.items()):
            detail = f": expected {broken.expected}; seen: {broken.seen}" if broken.expected else ""
            print(f"{requirement} was violated {broken.times} times{detail}")
        if not total.broken and total.begun:
            print("all exchanges were checked: no protocol violation")


def _exit(*_: object) -> None:
    """End the process at once: Locust has not started."""
    os._exit(ExitCode.INTERRUPTED)


signal.signal(signal.SIGINT, _exit)
signal.signal(signal.SIGTERM, _exit)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
_prepare(_SETTINGS)
LoadSummary()
# Locust warns of a high spawn rate, which its own users start in bursts; RelayUser spreads its starts.
logging.getLogger("locust.runners").addFilter(lambda record: "spawn rate is very high" not in record.getMessage())
if _SETTINGS.user_file:
    del DefaultUser
    globals().update(_own_users(_SETTINGS.user_file))
