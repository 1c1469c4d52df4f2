"""Target 5: what the suite itself costs, beside a bare client, beside schemathesis, and in whole runs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.figures import Figure, Plan, Target, microseconds, ratios
from bench.processes import Server, peer
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.record.transcript import Bytes, Direction
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.target.contexts import context_for
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.preflight import examine
from cbspec_conformance.target.relay import RelayUnderTest as Relay

_SESSIONS: Final = 100
_A_CASE: Final = 20  # sessions of one case
_FEW, _MORE, _MOST = 100, 200, 400  # examples of each property
_PROPERTIES: Final = "test_near_misses or test_damaged or test_any_tunnel_id or test_any_spelling"
_OPERATIONS: Final = 4


def measure(plan: Plan) -> list[Figure]:
    """Measure sessions, examples and whole runs in turn."""
    with tempfile.TemporaryDirectory(prefix="cbspec-bench-") as folder:
        return [*_sessions(plan), *_examples(plan, Path(folder)), *_runs(plan, Path(folder))]


# ---------------------------------------------------------------------------- sessions


def _sessions(plan: Plan) -> Iterator[Figure]:
    suite: list[float] = []
    bare: list[float] = []
    with embedded_simulator() as ready:
        profile = ready()
        facts = _facts(profile)
        said = _said(profile, facts)
        context = context_for(profile.tls)
        for nth in range(-1, plan.rounds):  # the first one warms up
            judged = _cost(lambda: _judged(profile, facts))
            plain = _cost(lambda: _bare(_address(profile), context, profile.target.server_name, said))
            if nth >= 0:
                suite.append(judged)
                bare.append(plain)
            plan.progress(f"sessions, round {nth + 1} of {plan.rounds}")
    parts = microseconds(suite=suite, bare_client=bare)
    name = "a session of the suite, judged / a blocking ssl client that says the same bytes, processor time"
    yield Figure(name, ratios(suite, bare), 1.5, parts=parts)


def _cost(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / _SESSIONS


def _relay(profile: Profile, facts: Facts) -> Relay:
    return Relay(
        profile,
        facts,
        "bench",
        locks=Locks(None),
        pace=Pacer(profile),
        issuer=Issuer(profile.tokens, time.time),
        tempo=Tempo.of(profile.target, facts.latency),
    )


def _facts(profile: Profile) -> Facts:
    relay = _relay(profile, Facts())
    facts = examine(relay)
    relay.close()
    return facts


def _session(relay: Relay) -> None:
    session = relay.authenticated()
    relay.open_tunnel(session)
    session.heartbeat()
    session.close()


def _judged(profile: Profile, facts: Facts) -> None:
    for _ in range(_SESSIONS // _A_CASE):
        relay = _relay(profile, facts)
        for _ in range(_A_CASE):
            _session(relay)
        relay.close()


def _said(profile: Profile, facts: Facts) -> list[tuple[Direction, bytes]]:
    """Return what goes over the wire in one session of the suite."""
    relay = _relay(profile, facts)
    _session(relay)
    relay.close()
    return [(record.direction, record.data) for record in relay.transcript.records if isinstance(record, Bytes)]


def _bare(
    address: tuple[str, int], context: ssl.SSLContext, name: str | None, said: Sequence[tuple[Direction, bytes]]
) -> None:
    for _ in range(_SESSIONS):
        plain = socket.create_connection(address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=name or address[0]) as tls:
            for direction, data in said:
                if direction is Direction.SENT:
                    tls.sendall(data)
                else:
                    left = len(data)
                    while left > 0:
                        if not (came := tls.recv(left)):
                            raise RuntimeError("the simulator closed a session that it served before")
                        left -= len(came)
            tls.unwrap()


def _address(profile: Profile) -> tuple[str, int]:
    address = profile.target.address or Endpoint("127.0.0.1", 0)
    return address.host, address.port


# ---------------------------------------------------------------------------- examples


def _examples(plan: Plan, folder: Path) -> Iterator[Figure]:
    """Compare what so many examples more take, so that neither's start counts."""
    ours: list[float] = []
    theirs: list[float] = []
    growth: list[float] = []
    with Server(peer("app", str(folder / "app.pem"))) as app:
        url = f"https://127.0.0.1:{app.port}/openapi.json"
        rounds = max(1, plan.rounds // 3)
        for nth in range(rounds):
            few, more, most = (_explored(number) for number in (_FEW, _MORE, _MOST))
            properties = few[1]
            ours.append((_MOST - _FEW) * properties / (most[0] - few[0]))
            growth.append((most[0] - more[0]) / (_MOST - _MORE) / ((more[0] - few[0]) / (_MORE - _FEW)))
            if command := shutil.which("schemathesis", path=Path(sys.executable).parent):
                took = [_timed(_schemathesis(command, url, number))[0] for number in (_FEW, _MORE)]
                theirs.append((_MORE - _FEW) * _OPERATIONS / (took[1] - took[0]))
            plan.progress(f"examples, round {nth + 1} of {rounds}")
    if theirs:
        name = "examples a second, over TLS, each with its controls / schemathesis' on an HTTPS API of the same size"
        parts = f"suite {median(ours):.0f}/s, schemathesis {median(theirs):.0f}/s"
        yield Figure(name, ratios(ours, theirs), 3.0, least=True, parts=parts)
    parts = f"from {_FEW} to {_MORE}, and from there to {_MOST}"
    yield Figure("an example more when there are many / when there are few", growth, 1.15, parts=parts)


def _explored(number: int) -> tuple[float, int]:
    """Return the seconds of a run of properties with so many examples of each, and how many properties those were."""
    options = ["--effort", "thorough", "--examples", str(number), "-k", _PROPERTIES, "-p", "no:randomly", "-rA"]
    took, output = _timed(_suite(*options))
    passed = re.search(r"(\d+) passed", output)
    if passed is None:
        raise RuntimeError(f"the properties did not pass: {output[-500:]}")
    return took, int(passed[1])


def _schemathesis(command: str, url: str, number: int) -> list[str]:
    checks = "not_a_server_error,status_code_conformance,negative_data_rejection"
    options = ["--tls-verify", "false", "--phases", "fuzzing", "--suppress-health-check", "all", "--checks", checks]
    return [command, "run", url, *options, "--max-examples", str(number), "--continue-on-failure"]


# ---------------------------------------------------------------------------- whole runs


def _runs(plan: Plan, folder: Path) -> Iterator[Figure]:
    took: dict[str, list[float]] = {"default": [], "quick": []}
    # As where the suite is installed: what was compiled once is kept, whatever is set here.
    compiled = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    _timed(_suite("--effort", "quick", "-p", "no:randomly"), compiled)
    for nth in range(plan.rounds):
        for effort, seconds in took.items():
            seconds.append(_timed(_suite("--effort", effort, "-p", "no:randomly"), compiled)[0])
        plan.progress(f"whole runs, round {nth + 1} of {plan.rounds}")
    yield Figure("a whole run with the embedded simulator", took["default"], 20.0, unit="s")
    yield Figure("a quick one", took["quick"], 6.0, unit="s")


def _suite(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", str(Path(__file__).parents[1] / "conformance"), *options]


def _timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Return the seconds that a command took, and what it said. Raises RuntimeError where it failed."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - our own, by name
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
        )
    return time.monotonic() - began, done.stdout


TARGET: Final = Target(5, "The suite", measure)
