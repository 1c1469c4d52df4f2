"""`make soak`: random sessions, faults and disconnects, after which the simulator must hold no more than before.

In each round many clients visit the simulator. Some have a fault of their own, whose promised outcome they must see;
all others must see a conforming relay. In every fourth round a fault may strike any client. Between rounds no client is
connected: then no resource may be in use, and the process's memory, descriptors and tasks are recorded. Exit codes: 0
no findings, 1 findings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from cbspec.profile.profile import load
from cbspec_client.session import Transport
from tests.endurance.promises import LOST, PROMISES, SERVED, STORMS, TIMEOUT, TOO_MANY, UNCONNECTED
from tests.endurance.visits import Place
from tests.support.processes import Holding, Served, served

CONFIGURATION = """
relay.buffer_pool = 200
limits = { handshake_timeout = 2.0, idle_timeout = 5.0 }
tenants = [
    { id = "roomy-1" },
    { id = "roomy-2" },
    { id = "narrow-tunnels", tunnel_limit = 4 },
    { id = "narrow-connections", connection_limit = 3 },
    { id = "slow", rate = { per_second = 60.0, burst = 10, scope = "tenant" } },
]
"""
ROOMY = ("roomy-1", "roomy-2")
LIMITED = {
    "narrow-tunnels": "tenant_limit_exceeded",
    "narrow-connections": "tenant_limit_exceeded",
    "slow": "rate_limit_exceeded",
}
"""The code that the clients of a tenant may receive, since they are many."""
CLIENTS = 8
_ROUND = 6.0  # seconds, unless there would be fewer than eight rounds
_SETTLING = 15.0  # seconds until closed connections must be released
_IN_STORM = {SERVED, LOST, TIMEOUT, UNCONNECTED, "server_unavailable", *LIMITED.values()}


@dataclass(slots=True)
class Soak:
    """The findings, outcomes, faults and samples of a soak."""

    relay: Served
    place: Place
    seed: int
    found: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[Holding, int]] = field(default_factory=list)

    def round(self, number: int, seconds: float) -> None:
        """Run visits for some seconds; all of them follow from the seed."""
        chance = Random(f"{self.seed}/{number}")  # noqa: S311 - reproducible
        storm = number % 4 == 3
        if storm:
            fault = dict(chance.choice(STORMS))
            self.relay.call("POST", "/faults", {"name": "storm", **fault})
            self.faults[f"{fault['kind']} for all"] += 1
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS) as pool:
            findings = pool.map(lambda client: self._visits(number, client, deadline, storm=storm), range(CLIENTS))
            self.found += itertools.chain(*findings)
        if storm:
            self.relay.call("DELETE", "/faults/storm")

    def _visits(self, round_number: int, client: int, deadline: float, *, storm: bool) -> list[str]:
        chance = Random(f"{self.seed}/{round_number}/{client}")  # noqa: S311 - reproducible
        found, number = [], 0
        while time.monotonic() < deadline:
            if wrong := self._visit(chance, f"soak-{self.seed}-{round_number}-{client}-{number}", storm=storm):
                found.append(f"round {round_number}, client {client}, visit {number}: {wrong}")
            number += 1
        return found

    def _visit(self, chance: Random, subject: str, *, storm: bool) -> str:
        """Make one visit; return its finding, or ""."""
        transport, kind = chance.choice([*Transport]), chance.random()
        if kind < 0.05:
            self.place.intrude(chance)
            return ""
        if storm:
            outcome = self.place.visit(chance.choice(ROOMY), subject, transport, chance, patient=False)
            return self._judge("a visit in a storm", outcome, _IN_STORM)
        if kind < 0.3:
            return self._struck(chance, subject, transport)
        if kind < 0.4:
            how = chance.choice(("reset", "close", "close-without-notify"))
            outcome = self.place.visit(
                chance.choice(ROOMY), subject, transport, chance, drop=lambda: self._drop(subject, how)
            )
            return self._judge("a dropped visit", outcome, {LOST})
        tenant = chance.choice([*ROOMY, *LIMITED])
        outcome = self.place.visit(tenant, subject, transport, chance)
        return self._judge("a visit", outcome, {SERVED, LIMITED.get(tenant, SERVED)})

    def _struck(self, chance: Random, subject: str, transport: Transport) -> str:
        """Make a visit with a fault of its own."""
        promise = chance.choice(PROMISES)
        transport = Transport(promise.transport) if promise.transport else transport
        self.relay.call("POST", "/faults", promise.fault(subject, subject))
        outcome = self.place.visit(
            chance.choice(ROOMY),
            subject,
            transport,
            chance,
            patient=promise.outcome != TIMEOUT,
            polite=True,
            more=promise.outcome == TOO_MANY,  # a relay needn't send more after the client has closed
        )
        strikes = self.relay.call("DELETE", f"/faults/{subject}")["strikes"]
        self.faults[promise.kind] += 1
        name = f"{promise.kind} at {promise.message}"
        return self._judge(name, outcome, {promise.outcome}) or ("" if strikes else f"{name} never struck")

    def _drop(self, subject: str, how: str) -> None:
        connections = self.relay.call("GET", "/connections")
        number = next(each["number"] for each in connections if each["subject"] == subject)
        self.relay.call("DELETE", f"/connections/{number}?how={how}")

    def _judge(self, name: str, outcome: str, allowed: set[str]) -> str:
        self.outcomes[outcome] += 1
        return "" if outcome in allowed else f"{name}: {outcome} instead of {' or '.join(sorted(allowed))}"

    def settle(self, number: int) -> None:
        """Check that nothing is in use, and record the resources of the process."""
        deadline = time.monotonic() + _SETTLING
        least = min((holding.descriptors for holding, _ in self.samples), default=sys.maxsize)
        while ((used := self._used()) or self.relay.holding().descriptors > least) and time.monotonic() < deadline:
            time.sleep(0.05)
        if used:
            self.found.append(f"round {number}: in use without a client: {used}")
        self.samples.append((self.relay.holding(), self.relay.call("GET", "/health")["tasks"]))

    def _used(self) -> dict[str, Any]:
        health = self.relay.call("GET", "/health")
        used = {name: health[name] for name in ("connections", "buffers", "faults") if health[name]}
        for tenant in self.relay.call("GET", "/tenants"):
            used.update({f"{tenant['id']}.{name}": tenant[name] for name in ("tunnels", "connections") if tenant[name]})
        return used


def growth(samples: Sequence[tuple[Holding, int]], memory: float) -> list[str]:
    """Describe each growth between the third and the last quarter of at least four samples; `memory` KiB are allowed.

    The first half is for warming up.
    """
    quarter = len(samples) // 4
    early, late = samples[-2 * quarter : -quarter], samples[-quarter:]
    found = []
    for name, of, slack in (
        ("memory in KiB", lambda sample: sample[0].memory, memory),
        ("descriptors", lambda sample: sample[0].descriptors, 0),
        ("tasks", lambda sample: sample[1], 0),
    ):
        was, now = min(map(of, early)), min(map(of, late))
        found += [f"{name} grew from {was:.0f} to {now:.0f}"] if now > was + slack else []
    return found


def soak(seconds: float, seed: int, memory: float, progress: Callable[[str], None]) -> list[str]:
    """Soak a simulator; return the findings."""
    with tempfile.TemporaryDirectory(prefix="cbspec-soak-") as name:
        with served(Path(name), "--control", "0", "--seed", str(seed), config=CONFIGURATION) as relay:
            state = Soak(relay, Place(load(relay.profile_file)), seed)
            rounds = max(8, round(seconds / _ROUND))
            for number in range(rounds):
                state.round(number, seconds / rounds)
                state.settle(number)
                held, tasks = state.samples[-1]
                progress(
                    f"round {number + 1} of {rounds}: {state.outcomes.total()} visits, {held.memory:.0f} KiB, "
                    f"{held.descriptors} descriptors, {tasks} tasks, {len(state.found)} findings"
                )
        state.found += growth(state.samples, memory)
        state.found += [f"the simulator's log: {line}" for line in relay.log_text.splitlines()]
    progress(f"visits: {dict(state.outcomes.most_common())}\nfaults: {dict(state.faults.most_common())}")
    return state.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and print the findings."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="duration of all visits (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices (default: 0)")
    parser.add_argument("--memory", type=float, default=1024.0, help="allowed growth in KiB (default: 1024)")
    args = parser.parse_args(arguments)
    try:
        found = soak(args.seconds, args.seed, args.memory, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"the simulator's controls don't answer: {error}")
        return 1
    print("\n".join(found) or f"no findings (seed {args.seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
