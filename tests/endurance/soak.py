"""`make soak`: sessions, faults and disconnects at random from one seed, and afterwards everything is as it was.

Rounds follow each other. In each, many clients visit the simulator at once; some have a fault meant for them alone and
must see what it promises, all others a relay that keeps the protocol. Now and then a fault strikes anybody. Between
rounds nobody is there: then nothing may be in use, and what the process holds is taken down. Exit codes: 0 nothing was
found, 1 something was, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from cbspec.cli.load_settings import invariants
from cbspec.profile.issuer import Issuer
from cbspec_client.session import Transport
from cbspec_conformance.target.contexts import context_for
from cbspec_conformance.target.tokens import secrets_of
from tests.endurance.promises import LOST, PROMISES, SERVED, STORMS, TIMEOUT, TOO_MANY, Promise
from tests.endurance.visits import UNCONNECTED, Visit, Where, intrude
from tests.support.processes import Holding, Served, served

CONFIGURATION = """
[relay]
buffer_pool = 200

[limits]
handshake_timeout = 2.0
idle_timeout = 5.0

[[tenants]]
id = "roomy-1"

[[tenants]]
id = "roomy-2"

[[tenants]]
id = "narrow-tunnels"
tunnel_limit = 4

[[tenants]]
id = "narrow-connections"
connection_limit = 3

[[tenants]]
id = "slow"
rate = { per_second = 60.0, burst = 10, scope = "tenant" }
"""
LIMITED = {
    "narrow-tunnels": "tenant_limit_exceeded",
    "narrow-connections": "tenant_limit_exceeded",
    "slow": "rate_limit_exceeded",
}
"""The code that a tenant's visitors may draw, since they are many."""
ROOMY = ("roomy-1", "roomy-2")
CLIENTS = 8
_ROUND = 6.0  # seconds of a round, where there are eight at least: two in each of the quarters that are compared
_SETTLED = 15.0  # seconds in which what clients left behind must be gone
_IN_STORM = {SERVED, LOST, TIMEOUT, UNCONNECTED, "server_unavailable", *LIMITED.values()}


@dataclass(slots=True)
class Soak:
    """The state of a soak: what was found, and how visits came out. `advance` seconds pass within each round."""

    relay: Served
    where: Where
    seed: int
    found: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[Holding, int]] = field(default_factory=list)

    def round(self, number: int, seconds: float) -> None:
        """Have visitors for so many seconds; all that they do follows from the seed."""
        chance = Random(f"{self.seed}/{number}")  # noqa: S311 - to be repeated
        storm = number % 4 == 3
        if storm:
            fault = dict(chance.choice(STORMS))
            self.relay.call("POST", "/faults", {"name": "storm", **fault})
            self.faults[f"{fault['kind']} for anybody"] += 1
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS) as pool:
            for failure in pool.map(lambda client: self._client(number, client, deadline, storm=storm), range(CLIENTS)):
                self.found += failure
        if storm:
            self.relay.call("DELETE", "/faults/storm")

    def _client(self, round_number: int, client: int, deadline: float, *, storm: bool) -> list[str]:
        place = f"{self.seed}/{round_number}/{client}"
        chance = Random(place)  # noqa: S311 - to be repeated
        found = []
        for number in range(1_000_000):
            if time.monotonic() >= deadline:
                break
            if said := self._visit(chance, f"soak-{place.replace('/', '-')}-{number}", storm=storm):
                found.append(f"round {round_number}, client {client}, visit {number}: {said}")
        return found

    def _visit(self, chance: Random, subject: str, *, storm: bool) -> str:
        """Make one visit; return what was wrong with it, or ""."""
        transport = chance.choice([*Transport])
        kind = chance.random()
        if kind < 0.05:
            intrude(self.where, chance)
            return ""
        if storm:
            visit = Visit(self.where, chance.choice(ROOMY), subject, transport, patient=False)
            return self._judge("storm", visit.outcome(chance), _IN_STORM)
        if kind < 0.3:
            return self._struck(chance, subject, transport)
        if kind < 0.4:
            visit = Visit(self.where, chance.choice(ROOMY), subject, transport)
            return self._judge("dropped", visit.outcome(chance, self._drop(chance)), {LOST})
        tenant = chance.choice([*ROOMY, *LIMITED])
        allowed = {SERVED, LIMITED.get(tenant, SERVED)}
        return self._judge("plain", Visit(self.where, tenant, subject, transport).outcome(chance), allowed)

    def _struck(self, chance: Random, subject: str, transport: Transport) -> str:
        """Visit with a fault that is meant for this visit alone."""
        promise: Promise = chance.choice(PROMISES)
        transport = Transport(promise.transport) if promise.transport else transport
        visit = Visit(self.where, chance.choice(ROOMY), subject, transport, promise.outcome != TIMEOUT, polite=True)
        visit.more = promise.outcome == TOO_MANY  # a relay needn't send on to who has said goodbye
        self.relay.call("POST", "/faults", promise.fault(subject, subject))
        outcome = visit.outcome(chance)
        strikes = self.relay.call("DELETE", f"/faults/{subject}")["strikes"]
        self.faults[promise.kind] += 1
        said = self._judge(f"{promise.kind} at {promise.message}", outcome, {promise.outcome})
        if not said and not strikes:
            said = f"{promise.kind} at {promise.message} never struck"
        if not said and visit.slowest < promise.takes:
            said = f"{promise.kind} at {promise.message}: an answer took {visit.slowest:.3f} s, not {promise.takes}"
        return said

    def _drop(self, chance: Random) -> Callable[[str], None]:
        how = chance.choice(("reset", "close", "close-without-notify"))

        def drop(subject: str) -> None:
            open_ = self.relay.call("GET", "/connections")
            number = next(each["number"] for each in open_ if each["subject"] == subject)
            self.relay.call("DELETE", f"/connections/{number}?how={how}")

        return drop

    def _judge(self, what: str, outcome: str, allowed: set[str]) -> str:
        self.outcomes[outcome] += 1
        return "" if outcome in allowed else f"{what}: {outcome}, where {' or '.join(sorted(allowed))} is promised"

    def settle(self, number: int) -> None:
        """See that nothing is in use, and take down what the process holds."""
        deadline = time.monotonic() + _SETTLED
        while (used := self._used()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if used:
            self.found.append(f"round {number}: still in use, though nobody is there: {used}")
        health = self.relay.call("GET", "/health")
        self.samples.append((self._at_rest(), health["tasks"]))

    def _used(self) -> dict[str, Any]:
        health = self.relay.call("GET", "/health")
        used = {name: health[name] for name in ("connections", "buffers", "faults") if health[name]}
        for tenant in self.relay.call("GET", "/tenants"):
            used.update({f"{tenant['id']}.{name}": tenant[name] for name in ("tunnels", "connections") if tenant[name]})
        return used

    def _at_rest(self) -> Holding:
        """Return what the process holds once its descriptors are as few as ever: sockets close a little later."""
        least = self.relay.holding()
        deadline = time.monotonic() + _SETTLED
        expected = min((sample[0].descriptors for sample in self.samples), default=0)
        while least.descriptors > expected > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
            least = self.relay.holding()
        return least


def plateaus(samples: Sequence[tuple[Holding, int]], memory: float) -> list[str]:
    """Return what grew between the third quarter of the samples and the last: the first half is for warming up.

    `memory` is the growth in KiB that is none. There are four samples at least.
    """
    quarter = len(samples) // 4
    early, late = samples[-2 * quarter : -quarter], samples[-quarter:]
    grown = []
    kinds: tuple[tuple[str, Callable[[tuple[Holding, int]], float], float], ...] = (
        ("memory in KiB", lambda sample: sample[0].memory, memory),
        ("descriptors", lambda sample: sample[0].descriptors, 0),
        ("tasks", lambda sample: sample[1], 0),
    )
    for name, of, slack in kinds:
        before, after = min(map(of, early)), min(map(of, late))
        if after > before + slack:
            grown.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return grown


def soak(seconds: float, seed: int, memory: float, say: Callable[[str], None]) -> list[str]:
    """Soak a simulator, and return what was found. `say` is told how it goes."""
    with tempfile.TemporaryDirectory(prefix="cbspec-soak-") as name:
        with served(Path(name), "--control", "0", "--seed", str(seed), config=CONFIGURATION) as relay:
            profile = relay.profile
            address = profile.target.address
            assert address is not None
            lock = threading.Lock()
            issuer = Issuer(profile.tokens, time.time)

            def token(tenant: str, subject: str) -> str:
                with lock:
                    return issuer.valid(tenant, subject)

            watch = {tenant.id: invariants(secrets_of(profile, tenant.id)) for tenant in profile.tenants}
            where = Where((address.host, address.port), context_for(profile.tls), token, watch.__getitem__)
            state = Soak(relay, where, seed)
            rounds = max(8, round(seconds / _ROUND))
            for number in range(rounds):
                state.round(number, seconds / rounds)
                state.settle(number)
                held, tasks = state.samples[-1]
                say(
                    f"round {number + 1} of {rounds}: {state.outcomes.total()} visits, {held.memory:.0f} KiB, "
                    f"{held.descriptors} descriptors, {tasks} tasks, {len(state.found)} findings"
                )
        state.found += plateaus(state.samples, memory)
        log = (Path(name) / "relay.log").read_text(errors="replace")
        state.found += [f"the simulator says: {line}" for line in log.splitlines()]
    say(f"visits: {dict(state.outcomes.most_common())}")
    say(f"faults: {dict(state.faults.most_common())}")
    return state.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and say what was found."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long clients visit in all (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="where all chance comes from (default: 0)")
    parser.add_argument("--memory", type=float, default=1024.0, help="KiB of growth that are none (default: 1024)")
    args = parser.parse_args(arguments)
    try:
        found = soak(args.seconds, args.seed, args.memory, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"the simulator's controls don't answer any more: {error}")
        return 1
    print("\n".join(found) or f"nothing was found (seed {args.seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
