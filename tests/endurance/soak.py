"""`make soak`: sessions, faults and disconnects, after which the simulator must hold no more than before.

In each round two loads of `cbspec load` visit the simulator. Random faults strike the sessions of one of them; the
other must see a conforming relay in every session. In every fourth round a random fault strikes new connections, and
there is no other load. Between rounds no client is connected: then no resource may be in use, and the process's memory,
descriptors and tasks are recorded. Exit codes: 0 no findings, 1 findings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import MessageDirection
from tests.simulator.faults.probe import NEEDED
from tests.support.processes import Holding, Served, served
from tests.support.relay import reset

CONFIGURATION = """
relay.buffer_pool = 200
limits = { handshake_timeout = 2.0, idle_timeout = 5.0 }
tenants = [{ id = "calm" }, { id = "struck" }]
"""
OF_CONNECTIONS = [name for name, kind in KINDS.items() if kind.directions[0] is MessageDirection.CONNECT]
OF_MESSAGES = [name for name in KINDS if name not in OF_CONNECTIONS]
_OPTIONS = ("--sessions", "8", "--rate", "50", "--hold", "0")
_PARAMS = {**NEEDED, "oversize": {"bytes": 100_000}}
_ROUND = 6.0  # seconds, unless there would be fewer than four rounds
_BEGINNING = 20  # connections after which a load's own checks of the relay are over
_SETTLING = 15.0  # seconds until closed connections must be released
_INTRUSIONS = (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n", bytes(600))


@dataclass(slots=True)
class Soak:
    """The findings, faults and samples of a soak, and the number of its sessions."""

    relay: Served
    seed: int
    found: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[Holding, int]] = field(default_factory=list)
    sessions: int = 0

    def round(self, number: int, seconds: float) -> None:
        """Run loads and faults for some seconds; the faults follow from the seed."""
        chance = Random(f"{self.seed}/{number}")  # noqa: S311 - reproducible
        storm, transport = number % 4 == 3, chance.choice(("tcp", "websocket"))
        kinds = [chance.choice(OF_CONNECTIONS)] if storm else chance.sample(OF_MESSAGES, 3)
        when = {"probability": 0.4} if storm else {"probability": 0.2, "tenant": "struck"}
        self.faults.update(kinds)
        before = self.relay.call("GET", "/health")["connections_so_far"]
        with contextlib.ExitStack() as stack:
            tenants = ("struck",) if storm else ("struck", "calm")
            loads = [stack.enter_context(self._load(tenant, transport, seconds)) for tenant in tenants]
            begun = before + _BEGINNING * len(loads)
            while self.relay.call("GET", "/health")["connections_so_far"] < begun and loads[-1].poll() is None:
                time.sleep(0.05)
            for kind in kinds:
                fault = {"kind": kind, "name": kind, **_PARAMS.get(kind, {})}
                self.relay.call("POST", "/faults", {**fault, "when": {} if KINDS[kind].standing else when})
            self._intrude(chance)
            reports = [(load.communicate()[0], load.returncode) for load in loads]
        for kind in kinds:
            self.relay.call("DELETE", f"/faults/{kind}")
        self.sessions += sum(int(count) for report, _ in reports for count in re.findall(r"(\d+) sessions: ", report))
        self._judge(f"round {number}, {kinds}, {transport}", reports, storm=storm)

    def _intrude(self, chance: Random) -> None:
        """Connect with the beginning of a handshake or with other bytes, and leave."""
        for data in _INTRUSIONS:
            with contextlib.suppress(OSError), socket.create_connection(self.relay.address) as sock:
                sock.sendall(data)
                if chance.random() < 0.5:
                    reset(sock)

    def _load(self, tenant: str, transport: str, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "cbspec", "load", "--profile", str(self.relay.profile_file)]
        command += [*_OPTIONS, "--tenant", tenant, "--transport", transport, "--run-time", f"{max(1, round(seconds))}s"]
        command += ["--timeout", "1" if tenant == "struck" else "20"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _judge(self, name: str, reports: Sequence[tuple[str, int]], *, storm: bool) -> None:
        struck, *calm = reports
        if struck[1] not in (0, 1) or (storm and "was violated" in struck[0]):
            self.found.append(f"{name}: exit code {struck[1]} of the load that is struck: {struck[0]}")
        self.found += [f"{name}: exit code {code} of the calm load: {report}" for report, code in calm if code]

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
            state, rounds = Soak(relay, seed), max(4, round(seconds / _ROUND))
            for number in range(rounds):
                state.round(number, seconds / rounds)
                state.settle(number)
                held, tasks = state.samples[-1]
                progress(
                    f"round {number + 1} of {rounds}: {state.sessions} sessions, {held.memory:.0f} KiB, "
                    f"{held.descriptors} descriptors, {tasks} tasks, {len(state.found)} findings"
                )
        state.found += growth(state.samples, memory)
        state.found += [f"the simulator's log: {line}" for line in relay.log_text.splitlines()]
    progress(f"faults: {dict(state.faults.most_common())}")
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
