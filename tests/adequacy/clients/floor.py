"""A cheaper judgement for each build: the controls that a deviation leaves as they are, are those of the base client.

A complete run judges each client after its own clean session, one with late answers, and one with a relay that is down.
A deviation that shows itself only in a fault has the base client's clean session, which is run once here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cbspec_conformance.client.habits import Habits, learn
from cbspec_conformance.client.run import ClientRun
from cbspec_conformance.client.session import Slots
from cbspec_conformance.client.situations import CLEAN, SITUATIONS
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.judging import ClientRow, judge_client, profile_of, row_of, transports_of
from tests.adequacy.clients.registry import ClientChange

_CONTROLLED = ("tunnels", "interval", "stays", "limit", "stay", "up", "greet", "open_tunnels")
"""What a change may not touch if the base client's clean session is to be its own, too."""


@dataclass(slots=True)
class ShortRun(ClientRun):
    """A run after the clean session of the base client, or only that of the client itself."""

    known: Habits | None = None

    async def _control(self, slots: Slots) -> bool:
        if self.known is not None:
            self.habits = self.known
            return False
        session = self._session(CLEAN)
        self.habits = session.habits = learn(await session.run(slots))
        self._tell(self._judged(session))
        return False


def needs_control(change: ClientChange) -> bool:
    """Whether a change alters the clean session, and is judged in other situations."""
    touched = {name for each in change.mixin.__mro__ if each not in BaseClient.__mro__ for name in vars(each)}
    return bool(change.profile or change.arguments or touched & set(_CONTROLLED))


async def judge_shortly(change: ClientChange, known: Mapping[str, Habits]) -> ClientRow:
    """Judge a deviation."""
    (transport,) = transports_of(change)
    rows = [SITUATIONS[name] for name in change.situations]
    profile = profile_of([change], transport)
    run = ClientRun(profile, rows, transport, quick=True, done=_heard)
    if rows == [CLEAN]:
        run = ShortRun(profile, rows, transport, quick=True, done=_heard)
    elif CLEAN not in rows and not needs_control(change):
        run = ShortRun(profile, rows, transport, quick=True, done=_heard, known=known[transport])
    await run.run()
    return row_of(change, transport, [finding for result in run.results.values() for finding in result.findings])


async def base_habits() -> Mapping[str, Habits]:
    """Return the habits of the base client by transport."""
    runs = {each: ClientRun(profile_of([], each), [], each, quick=True, done=_heard) for each in _BOTH}
    await asyncio.gather(*(run.run() for run in runs.values()))
    return {transport: run.habits for transport, run in runs.items()}


_BOTH = ("tcp", "websocket")


def _heard(_: object) -> None:
    """Take a result that is read at the end of the run."""


async def judged_shortly(changes: Sequence[ClientChange], at_once: int) -> list[ClientRow]:
    """Judge deviations, some at a time."""
    known, places = await base_habits(), asyncio.Semaphore(at_once)

    async def one(change: ClientChange) -> ClientRow:
        async with places:
            return await judge_shortly(change, known)

    rows = await asyncio.gather(*map(one, changes))
    return [row if row.good else await _again(row) for row in rows]


async def _again(row: ClientRow) -> ClientRow:
    """Judge a client by a complete run, and alone: a wrong verdict may be the machine's fault."""
    return await judge_client(
        row.change, row.transport, [SITUATIONS[each] for each in row.change.situations], quick=True
    )
