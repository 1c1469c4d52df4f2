"""A failure replayed on its own relay, on a conforming relay, and on a relay that refuses the tokens."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.profile import Profile, resolve
from cbspec.redact import find_tokens
from cbspec_conformance.failures.failure import Failure, failures_of, load, write_all
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.render import render
from cbspec_conformance.replay.replay import ReplayVerdict, export, play
from cbspec_conformance.replay.script import environment
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_simulator import Behaviour, Config, Listen, Simulator, varied
from cbspec_simulator.settings.config import TokenSettings
from cbspec_simulator.testing.thread import LoopThread
from tests.conformance.conftest import MakeTarget
from tests.support.few import few


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


def find(found: Found, target: RelayUnderTest) -> Failure:
    """Run the case on a relay; return the failure that it finds."""
    case = getattr(importlib.import_module(f"cbspec_conformance.relay.{found.module}"), found.case)
    try:
        case(target, *found.arguments)
    except Broken as broken:
        steps = target.log.shown(broken.exchanges, broken.expectation)["steps"]
        shown = render(target.transcript, broken.exchanges)
        texts = (broken.expected, broken.seen, shown)
        finding = Finding(found.requirement, Outcome.FAILED, "", "", *texts, steps=steps)
        target.log.findings.insert(0, finding)
    except Inconclusive:
        pass  # a control failed, so the failure is among the target's findings
    finally:
        target.close()
    findings = [replace(each, case=found.name) for each in target.log.findings if each.requirement == found.requirement]
    return failures_of(findings, str(target.endpoint), "tcp", ())[f"{found.requirement}-1.json"]


TUNNELS, AUTH, HEARTBEAT = (
    f"message_types.test_{name}" for name in ("3_tunnel_management", "2_authentication", "4_heartbeat")
)
JSON, WEBSOCKET, COMPRESSION = (f"notes.test_{name}" for name in ("utf8_json", "websocket", "no_compression"))
LIMITS = "error_codes.test_tenant_limit_exceeded"
FOUND = (
    Found("hello-answered-twice", "CB-MSG-004", JSON, "test_output_is_one_message", ("CB-MSG-004",)),
    Found("expired-accepted", "CB-AUT-005", AUTH, "test_forged_tokens_are_refused", ("CB-AUT-005",)),
    Found("embedded-secret-trusted", "CB-AUT-011", AUTH, "test_forged_tokens_are_refused", ("CB-AUT-011",)),
    Found("json-claims-accepted", "CB-AUT-012", AUTH, "test_forged_tokens_are_refused", ("CB-AUT-012",)),
    Found("array-of-token-accepted", "CB-AUT-015", AUTH, "test_forged_tokens_are_refused", ("CB-AUT-015",)),
    Found("refused-but-authenticated", "CB-AUT-016", AUTH, "test_refused_is_not_authenticated"),
    Found("remote-port-zero-wrong-code", "CB-TUN-010", TUNNELS, "test_invalid_member_is_refused", ("CB-TUN-010",)),
    Found("heartbeat-answered-by-tunnel-response", "CB-HBT-001", HEARTBEAT, "test_heartbeat_is_answered"),
    Found("error-quotes-token", "CB-ERR-004", JSON, "test_output_is_one_message", ("CB-MSG-004",)),
    Found("output-gzip", "CB-CMP-001", COMPRESSION, "test_output_is_not_compressed"),
    Found("input-not-json-unanswered", "CB-MSG-007", JSON, "test_invalid_input_is_answered"),
    Found("input-split-not-understood", "CB-MSG-009", JSON, "test_byte_by_byte", ("auth",)),
    Found("input-pipelined-lost", "CB-MSG-010", JSON, "test_whole_session_at_once"),
    Found("websocket-fragments-apart", "CB-WSK-003", WEBSOCKET, "test_fragments", ("two",)),
    Found("websocket-binary", "CB-WSK-005", WEBSOCKET, "test_frames_are_well_formed", ("CB-WSK-005",)),
    Found("tenant-connections-late", "CB-LIM-012", LIMITS, "test_one_connection_more", ("none",)),
)


def run_script(script: Path, profile: Profile) -> subprocess.CompletedProcess[bytes]:
    """Run a script without this project on its path."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(profile.target.address)],
        env=environment(profile),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def clean() -> Iterator[Profile]:
    with relay() as profile:
        yield profile


@pytest.fixture(scope="module")
def distrustful() -> Iterator[Profile]:
    """Return the profile of a relay that refuses every token that the profile makes."""
    with relay(secret="another-secret-than-the-published-one") as profile:
        yield resolve(None, profile.target.address)


@pytest.mark.parametrize("found", few(FOUND, 3), ids=lambda found: f"{found.deviation}-{found.requirement}")
def test_a_failure_shows_only_on_its_relay(
    found: Found, clean: Profile, distrustful: Profile, make_target: MakeTarget, tmp_path: Path
) -> None:
    file, script = tmp_path / "CB-1.json", tmp_path / "script.py"
    with relay(found.deviation) as wrong:
        write_all({file.name: find(found, make_target(wrong, websocket=True))}, tmp_path)
        failure = load(file)
        assert failure.steps, failure.exchange
        assert export(failure, wrong, script) == ""
    # A step before the decisive one may differ on a conforming relay; some tokens cannot be made by a script.
    limited = found.requirement == "CB-LIM-012"
    done = run_script(script, clean)
    assert done.returncode == (2 if limited or "'given': True" in script.read_text() else 0), done.stdout
    for text in (file.read_text(), script.read_text(), done.stdout.decode()):
        assert not find_tokens(text)
        assert DEVELOPMENT_SECRET not in text
    outcome = play(failure, clean, script)
    assert outcome.verdict is (ReplayVerdict.UNCLEAR if limited else ReplayVerdict.FIXED), outcome.reason
    assert play(failure, distrustful, script).verdict is not ReplayVerdict.FAILING


def test_a_failure_without_steps_is_undecided(clean: Profile, tmp_path: Path) -> None:
    failure = Failure("CB-TLS-002", "relay/notes/test_tls13.py::test_old", "127.0.0.1:1", "tcp", "refused", "served")
    assert play(failure, clean, tmp_path / "script.py").verdict is ReplayVerdict.UNCLEAR
    assert "no steps" in export(failure, clean, tmp_path / "script.py")
