"""A relay that dies half-way: noticed at once, blamed on what killed it, and what was found before is kept."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.findings import Outcome
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.record.transcript import End, Message
from cbspec_conformance.target.life import LIVES_ON, Life
from tests.conformance.commands import PATIENCE, verdict, verify
from tests.conformance.conftest import MakeTarget

KILLER = '"local_port":-1'  # CB-TUN-007 says it
CASES = ("--only", "CB-HEL-001", "--only", "CB-TUN-007", "--only", "CB-HBT-001", "-p", "no:randomly")


@contextlib.contextmanager
def mortal(*seconds: str) -> Iterator[str]:
    """Run a relay that dies of the killer, and comes back after so many seconds, if any; give its address."""
    port = "0"
    if seconds:  # who comes back comes back to the same place
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.conformance.mortal", port, KILLER, *seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def test_a_death_is_blamed_on_the_exchange_and_the_rest_ends_quickly() -> None:
    with mortal() as address:
        began = time.monotonic()
        done = verify(address, *CASES)
        assert time.monotonic() - began < PATIENCE / 3
    assert done.code == 1, done.text
    assert (verdict(done.text, "passed"), verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (1, 1, 2)
    assert f"did not pass: {LIVES_ON}; without a verdict: CB-TUN-007, CB-HBT-001" in done.text
    assert "the last message before: local_port is missing or invalid" in done.text
    assert '"local_port":-1' in done.text  # the exchange itself
    assert "the relay died: after relay/message_types/test_3_tunnel_management.py" in " ".join(done.text.split())


def test_a_relay_that_comes_back_is_judged_on() -> None:
    with mortal("0.8") as address:
        done = verify(address, *CASES)
    assert done.code == 1, done.text
    assert (verdict(done.text, "passed"), verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (2, 1, 1)
    assert f"did not pass: {LIVES_ON}; without a verdict: CB-TUN-007" in done.text


def test_two_workers_notice_it_too() -> None:
    with mortal() as address:
        done = verify(address, *CASES, "-n", "2")
    assert done.code == 1, done.text
    assert verdict(done.text, "failed") == 1
    assert f"did not pass: {LIVES_ON}" in done.text
    assert "2 processes shared the relay" in done.text


@pytest.fixture
def gone(simulated: Profile) -> Profile:
    """Give the profile of a relay that nobody is at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = Endpoint("127.0.0.1", free.getsockname()[1])
    return replace(simulated, target=replace(simulated.target, address=nobody, timeout=0.2))


def test_a_relay_that_a_condition_took_away_did_not_die(gone: Profile, make_target: MakeTarget) -> None:
    target = make_target(gone)
    with pytest.raises(Unreachable):
        target.connect()
    target.signs.provoked()
    life = Life()
    assert not life.look(target)
    assert [(finding.requirement, finding.outcome) for finding in target.log.findings] == [
        (LIVES_ON, Outcome.INCONCLUSIVE)
    ]


@pytest.mark.parametrize(("processes", "provoked"), [(1, False), (2, False), (1, True), (2, True)])
def test_who_shares_a_relay_that_may_be_restarted_accuses_nobody(
    processes: int, provoked: bool, gone: Profile, make_target: MakeTarget
) -> None:
    target = make_target(gone)
    with pytest.raises(Unreachable):
        target.connect()
    assert not Life(processes, provoked=provoked).look(target)
    uncertain = processes > 1 and provoked
    assert [finding.outcome for finding in target.log.findings] == [
        Outcome.INCONCLUSIVE if uncertain else Outcome.FAILED
    ]


def test_the_dead_are_looked_at_again(gone: Profile, simulated: Profile, make_target: MakeTarget) -> None:
    life, dead = Life(), make_target(gone)
    with pytest.raises(Unreachable):
        dead.connect()
    life.look(dead)
    with pytest.raises(Inconclusive, match="the relay died: after a case it is gone"):
        life.check_back(make_target(gone))
    assert life.gone
    life._look_again = 0.0
    life.check_back(make_target(simulated))
    assert not life.gone


def test_a_relay_that_only_closes_is_alive(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated)
    session = target.connect()
    session.wire.send_raw(b"\x17\x03\x03\x00\x10" + b"\0" * 16)
    session.answers(1)
    assert session.ended
    assert Life().look(target)
    assert target.log.findings == []


def test_a_look_at_a_relay_that_was_mute_leaves_no_connection_open(
    simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    life, mute = Life(), make_target(simulated)
    with monkeypatch.context() as silence:
        silence.setattr(ProbeSession, "answers", lambda *_: ())
        assert not mute.alive()
        assert not life.look(mute)
    assert "answers no hello" in life.gone
    assert [finding.outcome for finding in mute.log.findings] == [Outcome.INCONCLUSIVE]
    target = make_target(simulated)
    life.check_back(target)
    assert not life.gone
    assert target.said_anything
    assert target.room.open_sessions == []


def test_a_relay_that_closes_new_connections_without_a_word_is_not_mute(
    simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(session: ProbeSession, _: int) -> tuple[Message, ...]:
        session.wire.finish(End.RESET)
        return ()

    monkeypatch.setattr(ProbeSession, "answers", close)
    full = make_target(simulated)
    assert not full.alive()
    assert Life().look(full)
    assert full.log.findings == []
