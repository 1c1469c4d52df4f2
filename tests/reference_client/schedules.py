"""`make schedules`: seeded fault schedules, in each of which a session must work or end with the right exception.

A schedule is a transport, up to three faults of the simulator, and drops of the connection. The client has its usual
time-outs and pauses; the clock of both ends jumps (`tests/support/warp.py`), so a schedule takes milliseconds and its
time is exact. After each one: the session works with all its tunnels, or its exception follows from a fault that
struck; it took a bounded time; no task, socket or thread is left; and no output or message but auth has the token.
Exit codes: 0 all schedules passed, 1 some did not.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from cbspec.documents import DocumentError
from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.protocol.messages import Auth
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import ClientError, GaveUp, Passed, RelayError, RetryPolicy, SessionEvent, TunnelWish, stay_connected
from cbspec_client.events import ConnectAttempted, HeartbeatAnswered, SessionUp
from cbspec_client.metrics import ClientMetrics
from cbspec_simulator import Config, Simulator
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.settings.config import Listen
from tests.reference_client.leaks import Inventory
from tests.reference_client.strikes import (
    allowed,
    hides_identity,
    is_worth_retrying,
    must_fail,
    random_params,
    random_when,
)
from tests.support.warp import WarpLoop

TOKEN = mint(
    SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "a-subject-of-the-schedules", "tenant_id": "tenant-001", "exp": 2**40}
)
SECRETS = (TOKEN, *TOKEN.split(".")[1:])
WISHES = (TunnelWish("a", 1, "127.0.0.1", 2), TunnelWish("b", 3, "127.0.0.1", 4))
ADDED = TunnelWish("c", 5, "127.0.0.1", 6)
POLICY = RetryPolicy()
BOUND = 3600.0
"""Seconds of a session: three rows of four attempts, each with a handshake of 10 s, four answers of 30 s, a minute
until its heartbeats are answered or missed, and a pause of 30 s. A connection that holds for a minute begins a new row,
but the second one has answered the heartbeats that are awaited."""


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """What happens to one session; `drops` are the ends of the first connections once they are up."""

    seed: int
    transport: str
    faults: tuple[dict[str, Any], ...]
    drops: tuple[str, ...]

    @classmethod
    def draw(cls, seed: int) -> FaultSchedule:
        """Return the schedule of a seed; even seeds have TCP, odd ones WebSocket."""
        chance, transport = Random(seed), ("tcp", "websocket")[seed % 2]  # noqa: S311 - reproducible
        kinds = [name for name, kind in KINDS.items() if transport in kind.transports]
        faults: list[dict[str, Any]] = []
        wanted = chance.choice((1, 1, 2, 3))
        while len(faults) < wanted:
            name = chance.choice(kinds)
            params, when = random_params(name, chance, TOKEN), random_when(name, chance)
            fault = {"name": f"{name}-{len(faults)}", "kind": name, **params, "when": when}
            try:
                Fault.read(fault)
            except DocumentError:  # not every condition fits every kind
                continue
            faults.append(fault)
        drops = [str(chance.choice([*ConnectionEnd])) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
        return cls(seed, transport, tuple(faults), tuple(drops))

    def __str__(self) -> str:
        faults = "; ".join(str({key: value for key, value in fault.items() if value}) for fault in self.faults)
        return f"seed {self.seed}, {self.transport}: {faults}; drops: {', '.join(self.drops) or 'none'}".replace(
            TOKEN, "<token>"
        )


@dataclass(slots=True)
class SessionSeen:
    """What a session did under a schedule."""

    events: list[SessionEvent] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    error: Exception | None = None
    seconds: float = 0.0
    struck: set[str] = field(default_factory=set)
    unverified: bool = False
    refused_caller: bool = False
    tunnels: tuple[str, ...] = ()
    left: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """The exception's name, or "works"."""
        if isinstance(self.error, GaveUp):
            return f"gave up: {type(self.error.cause).__name__}"
        return type(self.error).__name__ if self.error is not None else "works"


async def play(schedule: FaultSchedule) -> SessionSeen:
    """Run a session under a schedule."""
    seen, loop = SessionSeen(), asyncio.get_running_loop()
    await asyncio.to_thread(bool)  # the simulator's look-ups use the thread that this starts
    inventory = Inventory()
    faults = tuple(Fault.read(fault) for fault in schedule.faults)
    config = Config(listen=Listen(port=0), faults=faults, seed=schedule.seed)
    async with Simulator(config, clock=Clock(loop.time)) as relay:
        began = loop.time()
        try:
            await _session(relay, schedule, seen)
        except Exception as error:
            seen.error = error
        seen.seconds = loop.time() - began
        client = [task for task in asyncio.all_tasks() if "cbspec_client" in str(task.get_coro())]
        seen.left += [f"at once: {task}" for task in client]
        entries = relay.transcript.entries()
        seen.struck = {entry.type for entry in entries if entry.event == "fault"}
        kinds = {fault["name"]: fault["kind"] for fault in schedule.faults}
        for number in {entry.connection for entry in entries if entry.event == "request"}:
            struck = {entry.type for entry in entries if entry.event == "fault" and entry.connection == number}
            seen.unverified |= hides_identity([kind for name, kind in kinds.items() if name in struck])
    await asyncio.sleep(0)
    seen.left += inventory.left()
    return seen


async def _session(relay: Simulator, schedule: FaultSchedule, seen: SessionSeen) -> None:
    registry, drops = CollectorRegistry(), list(schedule.drops)
    metrics, enough = ClientMetrics(registry), asyncio.Event()

    def observe(event: SessionEvent) -> None:
        seen.events.append(event)
        metrics.observe(event)
        if isinstance(event, SessionUp) and drops:
            how = ConnectionEnd(drops.pop(0))
            for number in range(1, relay.relay.connected + 1):
                relay.drop(number, how)
        if sum(isinstance(each, HeartbeatAnswered) for each in seen.events) == 2:
            enough.set()

    try:
        async with stay_connected(
            *relay.address,
            ca=relay.ca_file,  # type: ignore[arg-type] # the relay has started
            token=lambda: TOKEN,
            tunnels=WISHES,
            transport=schedule.transport,  # type: ignore[arg-type] # drawn from the two
            retry=POLICY,
            on_event=observe,
            exchange=seen.passed.append,
        ) as session:
            await enough.wait()
            try:
                await session.open_tunnel(*ADDED)
            except RelayError:
                seen.refused_caller = True
                raise
            relay.relay.faults.reset()
            await session.heartbeat()
            seen.tunnels = next((c["tunnels"] for c in reversed(relay.controls.connections()) if c["tunnels"]), ())
    finally:
        seen.texts.append(generate_latest(registry).decode())


def problems(schedule: FaultSchedule, seen: SessionSeen) -> Iterator[str]:
    """Yield what is wrong with the way in which a session went."""
    faults = [fault for fault in schedule.faults if fault["name"] in seen.struck or fault["kind"] == "refuse"]
    error = seen.error.cause if isinstance(seen.error, GaveUp) else seen.error
    if error is None:
        if set(seen.tunnels) != {"a", "b", "c"}:
            yield f"the relay knows the tunnels {seen.tunnels}"
        yield from (f"works in spite of {name}" for name in must_fail(schedule.faults))
    elif not isinstance(error, ClientError):
        yield f"raised {type(error).__name__}: {error}"
    else:
        permitted = set[str]().union(*(allowed(fault, schedule.transport) for fault in faults))
        permitted |= {"ConnectionLost"} if schedule.drops else set()
        if type(error).__name__ not in permitted:
            yield f"{type(error).__name__} ({error}), but only {', '.join(sorted(permitted)) or 'nothing'} can be"
        worth = is_worth_retrying(error)
        if isinstance(seen.error, GaveUp) != worth and not seen.refused_caller:
            yield f"{'did not retry' if worth else 'retried'} {type(error).__name__}"
        attempts = [event.attempt for event in seen.events if isinstance(event, ConnectAttempted)]
        if isinstance(seen.error, GaveUp) and attempts[-1:] != [POLICY.retries + 1]:
            yield f"gave up at attempt {attempts[-1:]}"
    if seen.seconds > BOUND:
        yield f"took {seen.seconds:.0f} s"
    yield from (f"left {each}" for each in seen.left)
    if seen.unverified:
        yield "sent a message to a relay with an invalid certificate"
    yield from _leaks(seen)


def _leaks(seen: SessionSeen) -> Iterator[str]:
    texts = [*map(repr, seen.events), *seen.texts, *map(repr, seen.passed)]
    if seen.error is not None:
        texts.append("".join(traceback.format_exception(seen.error)))
    if any(secret in text for text in texts for secret in SECRETS):
        yield "the token is in its output"
    for passed in seen.passed:
        if passed.sent and not isinstance(passed.message, Auth) and any(s.encode() in passed.text for s in SECRETS):
            yield "the token is in another message than auth"


class _Records(logging.Handler):
    """Keeps the texts of all log records."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {record.exc_info or ''}")


@contextmanager
def _logs() -> Iterator[list[str]]:
    handler, root = _Records(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.texts
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def check(seed: int) -> tuple[FaultSchedule, SessionSeen, list[str]]:
    """Play the schedule of a seed; return it with what was observed and found."""
    schedule = FaultSchedule.draw(seed)
    random.seed(seed)  # of the client's pauses
    with _logs() as texts, asyncio.Runner(loop_factory=WarpLoop) as runner:
        seen = runner.run(play(schedule))
    seen.texts += [text for text in texts if "asyncio" in text or "cbspec_client" in text]
    return schedule, seen, list(problems(schedule, seen))


def main(arguments: Sequence[str] | None = None) -> int:
    """Play schedules and print their figures."""
    parser = argparse.ArgumentParser(prog="make schedules", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed (default: 0)")
    parser.add_argument("--count", type=int, default=1000, help="number of schedules (default: 1000)")
    args = parser.parse_args(arguments)
    outcomes, struck, failed = Counter[str](), Counter[str](), 0
    longest, began = 0.0, time.monotonic()
    for seed in range(args.seed, args.seed + args.count):
        schedule, seen, found = check(seed)
        outcomes[seen.outcome] += 1
        struck.update(fault["kind"] for fault in schedule.faults if fault["name"] in seen.struck)
        longest = max(longest, seen.seconds)
        if found:
            failed += 1
            print(schedule, *(f"\n    {each}" for each in found))
    seconds = time.monotonic() - began
    print(f"{args.count} schedules in {seconds:.0f} s, {failed} failed; the longest session took {longest:.0f} s")
    print("; ".join(f"{name} {number}" for name, number in outcomes.most_common()))
    print(f"{len(struck)} kinds of faults struck, in {struck.total()} places of schedules")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
