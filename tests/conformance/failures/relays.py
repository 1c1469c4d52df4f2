"""Relays in a thread of this process, and failures that cases find on them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure, failures_of
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.record.render import render
from cbspec_conformance.replay.replay import Replayer
from cbspec_simulator import Behaviour, Config, Listen, Simulator, varied
from cbspec_simulator.settings.config import TokenSettings


@contextlib.contextmanager
def relay(deviation: str = "", secret: str = "") -> Iterator[Profile]:
    """Run a simulator, wrong in one way or clean, perhaps with another secret; give the profile to judge it by."""
    config = Config(listen=Listen(port=0), tokens=TokenSettings(secret=secret or None))
    simulator = Simulator(config, behaviour=varied(Behaviour(), deviation) if deviation else None)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(30)
        profile = simulator.profile()
        yield replace(profile, target=replace(profile.target, timeout=1.5))
    finally:
        asyncio.run_coroutine_threadsafe(simulator.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@dataclass(frozen=True)
class Found:
    """A deviation, and the case that finds it: module below conformance.relay, function, arguments."""

    deviation: str
    requirement: str
    module: str
    case: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The case's name in pytest."""
        return f"relay/{self.module.replace('.', '/')}.py::{self.case}{self._parameters}"

    @property
    def _parameters(self) -> str:
        return f"[{'-'.join(self.arguments)}]" if self.arguments else ""


def find(found: Found, profile: Profile) -> Failure:
    """Run the case on a relay and return the failure that it finds."""
    target = Replayer(profile).target()
    case = getattr(importlib.import_module(f"cbspec_conformance.relay.{found.module}"), found.case)
    try:
        case(target, *found.arguments)
    except Broken as broken:
        steps = target.log.steps(broken.exchanges, broken.expectation)
        shown = render(target.transcript, broken.exchanges)
        said = {"expected": broken.expected, "seen": broken.seen, "exchange": shown, "steps": steps}
        about = Finding(found.requirement, Outcome.FAILED, found.name, **said)
        target.log.findings.insert(0, about)
    except Inconclusive:
        pass  # a control met what is wrong: then that is among the target's findings
    finally:
        target.close()
    findings = [finding for finding in target.log.findings if finding.requirement == found.requirement]
    named = [Finding.from_dict({**finding.to_dict(), "case": found.name}) for finding in findings]
    return failures_of(named, str(profile.target.address), "tcp", ())[f"{found.requirement}-1.json"]
