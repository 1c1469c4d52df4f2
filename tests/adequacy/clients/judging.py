"""Judges the named clients: each deviation in the situations that show it, the others by quick or whole runs."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.run import ClientRun
from cbspec_conformance.client.situations import SITUATIONS, Situation, situations
from cbspec_conformance.judging.verdicts import Finding, Outcome
from tests.adequacy.clients.registry import ClientChange, ClientKind

ROOT: Final = Path(__file__).parents[3]
_BAD: Final = (Outcome.FAILED, Outcome.WARNED)

PROFILE: Final = {"answer_timeout": 2.0, "heartbeat_interval": 0.7, "reconnect_delay": 0.5, "stop_time": 3.0}
"""The client profile of the base client."""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """The verdict on one client: `seen` has the situations that killed it, `others` what else it was accused of."""

    change: ClientChange
    transport: str
    seen: tuple[str, ...]
    others: tuple[str, ...]
    remark: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.others or self.remark:
            return self.remark or "accused"
        if self.change.kind is not ClientKind.DEVIATION:
            return "left alone"
        return "killed" if self.seen else "survived"

    @property
    def good(self) -> bool:
        """Whether it is the right one."""
        return self.verdict in ("killed", "left alone")


def command(changes: Sequence[ClientChange], transport: str) -> tuple[str, ...]:
    """Return the command line of the base client with some changes."""
    options = [word for change in changes for word in ("--with", change.id, *change.arguments)]
    websocket = ("--websocket",) if transport == "websocket" else ()
    module = ("-m", "tests.adequacy.clients")
    return (sys.executable, *module, "{host}", "{port}", "{ca}", "{token}", *options, *websocket)


def profile_of(changes: Sequence[ClientChange], transport: str) -> ClientProfile:
    """Return the client profile of the base client with some changes."""
    own: dict[str, Any] = dict(PROFILE)
    for change in changes:
        own |= change.profile
    return ClientProfile(command=command(changes, transport), working_directory=ROOT, **own)


def transports_of(change: ClientChange) -> tuple[str, ...]:
    """Return the transports over which a client is judged: variants that suit both are spread over both."""
    if change.websocket is not None:
        return ("websocket",) if change.websocket else ("tcp",)
    spread = change.kind is not ClientKind.DEVIATION and zlib.crc32(change.id.encode()) & 1
    return ("websocket",) if spread else ("tcp",)


def decisive(change: ClientChange, transport: str, *, quick: bool) -> Sequence[Situation]:
    """Return the situations in which a client is judged."""
    if change.kind is ClientKind.DEVIATION:
        return [SITUATIONS[name] for name in change.situations]
    return situations(transport, quick=quick)


async def blamed(profile: ClientProfile, rows: Sequence[Situation], transport: str, *, quick: bool) -> list[str]:
    """Return what a conforming client is accused of, or why there is no verdict."""
    run = ClientRun(profile, rows, transport, quick, lambda _: None)
    await run.run()
    bad = (*_BAD, Outcome.INCONCLUSIVE)
    findings = [finding for result in run.results.values() for finding in result.findings if finding.outcome in bad]
    return [f"{each.requirement} {each.outcome} in {each.case}: {each.seen or each.reason}" for each in findings]


async def judge_client(change: ClientChange, transport: str, rows: Sequence[Situation], *, quick: bool) -> ClientRow:
    """Judge one client in some situations, besides its clean session."""
    run = ClientRun(profile_of([change], transport), rows, transport, quick, lambda _: None)
    await run.run()
    return row_of(change, transport, [finding for result in run.results.values() for finding in result.findings])


def row_of(change: ClientChange, transport: str, findings: Sequence[Finding]) -> ClientRow:
    """Return the row for the findings of a run."""
    bad = [finding for finding in findings if finding.outcome in _BAD]
    own = {change.requirement, *change.also} if change.kind is ClientKind.DEVIATION else set()
    seen = dict.fromkeys(finding.case for finding in bad if finding.requirement == change.requirement)
    others = dict.fromkeys(
        f"{finding.requirement} in {finding.case}: {finding.seen}" for finding in bad if finding.requirement not in own
    )
    unclear = [finding for finding in findings if finding.outcome is Outcome.INCONCLUSIVE]
    remark = ""
    if unclear and not seen:
        remark = f"no verdict in {unclear[0].case}: {unclear[0].reason}"
    return ClientRow(change, transport, tuple(sorted(seen)), tuple(others), remark)


async def judged(
    work: Sequence[tuple[ClientChange, str]], *, at_once: int, quick: bool, whole: bool = False
) -> AsyncIterator[ClientRow]:
    """Yield the row of each client as it is judged, `at_once` of them at a time.

    A client with a wrong verdict is judged again when the others are done: it may be the machine's fault.
    """
    places = asyncio.Semaphore(at_once)
    wrong: list[ClientRow] = []

    async def one(change: ClientChange, transport: str) -> ClientRow:
        targeted = change.kind is ClientKind.DEVIATION
        rows = situations(transport, quick=False) if whole else decisive(change, transport, quick=quick)
        async with places:
            return await judge_client(change, transport, rows, quick=quick and not targeted)

    for done in asyncio.as_completed([one(*each) for each in work]):
        row = await done
        if row.good:
            yield row
        else:
            wrong.append(row)
    for row in wrong:
        yield await one(row.change, row.transport)
