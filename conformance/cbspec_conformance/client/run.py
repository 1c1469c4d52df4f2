"""A run of several situations at once, after the clean session: its findings as they come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.excerpt import decisive_places, excerpt, rows_of
from cbspec_conformance.client.habits import Habits, learn
from cbspec_conformance.client.observed import Observation
from cbspec_conformance.client.process import CannotStart
from cbspec_conformance.client.rules.judge import judge, why_not
from cbspec_conformance.client.session import Session, Slots
from cbspec_conformance.client.situations import CLEAN, DOWN, PACED, Situation
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome

RUNNING = 32
"""Clients that run at once; few of them are busy."""
_BAD = (*BROKEN, Outcome.INCONCLUSIVE)
_PORTS = 10  # local ports from {local_port} on that a client may use for several tunnels
_CONTROLS = (CLEAN, DOWN, PACED)
_ATTEMPTS = 3  # at a control
_LAG = 0.5
"""Seconds by which the judge's own loop may be late; after a longer delay, a situation with a finding is run again."""


@dataclass(slots=True)
class Result:
    """The findings of one situation, and what was observed."""

    situation: Situation
    findings: list[Finding]
    seen: Observation | None = None


@dataclass(slots=True)
class ClientRun:
    """One run: `profile` is the client's, with its command; `done` is called with each result.

    `jobs` is the number of clients that may run at once (None: as many as useful). `not_started` is the reason why the
    command can't be run, or "". `own_port`: the client listens on a port that no other instance can use.
    """

    profile: ClientProfile
    situations: Sequence[Situation]
    transport: str
    quick: bool
    done: Callable[[Result], None]
    jobs: int | None = None
    habits: Habits = field(default_factory=Habits)
    not_started: str = ""
    own_port: bool = False
    results: dict[str, Result] = field(default_factory=dict)
    _clean: Session | None = None

    async def run(self) -> None:
        """Run the clean session, then all situations: one at a time if the client always listens on the same port."""
        cores = os.cpu_count() or 1
        jobs = 1 if self.profile.one_at_a_time else self.jobs or RUNNING
        slots = Slots(jobs, min(jobs, 2 * cores))
        try:
            self.own_port = await self._control(slots)
        except CannotStart as error:
            self.not_started = str(error)
            return
        if self.own_port:
            slots = Slots(1, 1)
        others = [row for row in self.situations if row not in _CONTROLS and row.name not in self.results]
        async with asyncio.TaskGroup() as group:
            learned = group.create_task(self._learn_more(slots))  # first, since every verdict waits for it
            for situation in others:
                group.create_task(self._one(situation, slots, learned))

    async def _control(self, slots: Slots) -> bool:
        """Learn the client's habits; return whether it listens on a port that no other instance can use.

        Raises CannotStart.
        """
        session = await self._unhurried(CLEAN, slots)
        self.habits = session.habits = learn(session.seen)
        if self.habits.fault:
            self._tell(self._judged(session))
            return False
        self._clean = session
        return has_own_port(session, self.habits)

    async def _learn_more(self, slots: Slots) -> None:
        """Complete the habits by a session with late answers, and one without a relay."""
        if self._clean is None:
            return
        down, paced = await asyncio.gather(self._unhurried(DOWN, slots), self._unhurried(PACED, slots))
        self.habits = learn(self._clean.seen, paced.seen, down.seen)
        for session in (self._clean, down, paced):
            session.habits = self.habits
            self._tell(self._judged(session))

    async def _unhurried(self, situation: Situation, slots: Slots) -> Session:
        """Run a control, again if the machine was busy: everything else rests on it. Raises CannotStart."""
        for _ in range(_ATTEMPTS):
            session = self._session(situation)
            await session.run(slots)
            if session.seen.lag <= _LAG:
                break
        return session

    def _session(self, situation: Situation) -> Session:
        return Session(situation, self.profile, self.habits, self.transport, self.quick)

    async def _one(self, situation: Situation, slots: Slots, learned: asyncio.Task[None]) -> None:
        reason = why_not(situation, self.habits, self.profile, quick=self.quick)
        if self.habits.fault:
            reason = f"the clean session doesn't work: {self.habits.fault}"
            self._tell(
                Result(situation, [Finding(situation.requirement, Outcome.INCONCLUSIVE, situation.name, reason)])
            )
            return
        if reason:
            finding = Finding(situation.requirement, Outcome.NOT_EXERCISED, situation.name, reason)
            self._tell(Result(situation, [finding]))
            return
        session = self._session(situation)
        await session.run(slots)
        await learned
        result = self._judged(session)
        if self._deserves_another(session.seen, result.findings):
            session = self._session(situation)
            await session.run(slots)
            result = self._judged(session)
        self._tell(result)

    def _deserves_another(self, seen: Observation, findings: Sequence[Finding]) -> bool:
        """Whether a situation is run again: the machine was busy, or a SIGTERM had no effect for once.

        Runtimes lose a signal now and then; a client that ignores it has done so in its clean session.
        """
        bad = {finding.requirement for finding in findings if finding.outcome in _BAD}
        ends = self._clean is None or self._clean.seen.exit is None or not self._clean.seen.exit.killed
        return bool(bad) and (seen.lag > _LAG or (ends and "CC-LIF-001" in bad))

    def _judged(self, session: Session) -> Result:
        findings = judge(
            session.situation,
            session.seen,
            self.habits,
            self.profile,
            transport=self.transport,
            token=session.token,
            quick=self.quick,
        )
        if any(finding.outcome in BROKEN for finding in findings):
            shown, decisive = excerpt(session.seen), decisive_places(rows_of(session.seen), session.seen.struck)
            findings = [
                replace(each, exchange=shown, decisive=decisive) if each.outcome in BROKEN else each
                for each in findings
            ]
        return Result(session.situation, findings, session.seen)

    def _tell(self, result: Result) -> None:
        self.results[result.situation.name] = result
        self.done(result)


def has_own_port(session: Session, habits: Habits) -> bool:
    """Whether a client listens on a port that no other instance can use, in its clean session."""
    given = range(session.local_port, session.local_port + _PORTS)
    return any(port not in given for port in habits.listens)
