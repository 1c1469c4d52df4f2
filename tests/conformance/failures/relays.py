"""Relays in a thread of this process, and the failures that cases find on them."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure, failures_of
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.record.render import render
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_simulator import Behaviour, Config, Listen, Simulator, varied
from cbspec_simulator.settings.config import TokenSettings
from cbspec_simulator.testing.thread import LoopThread


@contextlib.contextmanager
def relay(deviation: str = "", secret: str = "") -> Iterator[Profile]:
    """Run a simulator, with a deviation or another token secret if given; yield its profile."""
    config = Config(listen=Listen(port=0), tokens=TokenSettings(secret=secret or None))
    simulator = Simulator(config, behaviour=varied(Behaviour(), deviation) if deviation else None)
    thread = LoopThread("relay")
    try:
        thread.run(simulator.start())
        profile = simulator.profile()
        yield replace(profile, target=replace(profile.target, timeout=1.5))
    finally:
        thread.run(simulator.close())
        thread.close()


@dataclass(frozen=True)
class Found:
    """A deviation, and the case that detects it: module in cbspec_conformance.relay, function, arguments."""

    deviation: str
    requirement: str
    module: str
    case: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The case's name in pytest."""
        parameters = f"[{'-'.join(self.arguments)}]" if self.arguments else ""
        return f"relay/{self.module.replace('.', '/')}.py::{self.case}{parameters}"


def find(found: Found, profile: Profile) -> Failure:
    """Run the case on a relay; return the failure that it finds."""
    issuer, facts = Issuer(profile.tokens, time.time), Facts(websocket=True, features=("multi_tenancy",))
    target = RelayUnderTest(
        profile,
        facts,
        found.name,
        locks=Locks(None),
        pace=Pacer(profile),
        issuer=issuer,
        tempo=Tempo.of(profile.target, facts.latency),
    )
    case = getattr(importlib.import_module(f"cbspec_conformance.relay.{found.module}"), found.case)
    try:
        case(target, *found.arguments)
    except Broken as broken:
        steps = target.log.steps(broken.exchanges, broken.expectation)
        shown = render(target.transcript, broken.exchanges)
        breach = {"expected": broken.expected, "seen": broken.seen, "exchange": shown, "steps": steps}
        target.log.findings.insert(0, Finding(found.requirement, Outcome.FAILED, **breach))
    except Inconclusive:
        pass  # a control failed, so the failure is among the target's findings
    finally:
        target.close()
    findings = [replace(each, case=found.name) for each in target.log.findings if each.requirement == found.requirement]
    return failures_of(findings, str(profile.target.address), "tcp", ())[f"{found.requirement}-1.json"]
