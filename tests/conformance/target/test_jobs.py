"""How many cases run at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.profile import Profile, RelayCapabilities, TargetSettings, TlsSettings
from cbspec_conformance.probe.tempo import Latency
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.jobs import jobs_while_waiting, jobs_within, with_jobs
from tests.conformance.conftest import MakeTarget
from tests.conformance.tiny import accept, tiny_relay

DEVELOPMENT = TlsSettings(ca="development")


@pytest.mark.parametrize(
    ("target", "relay", "jobs"),
    [
        (TargetSettings(), RelayCapabilities(), 32),
        (TargetSettings(connections_at_once=12), RelayCapabilities(), 3),
        (TargetSettings(connections_at_once=3), RelayCapabilities(), 1),
        (TargetSettings(), RelayCapabilities(connection_limit=40), 10),
        (TargetSettings(), RelayCapabilities(buffer_pool=15), 7),
    ],
)
def test_declared_limits_bound_the_number(target: TargetSettings, relay: RelayCapabilities, jobs: int) -> None:
    profile = Profile(target=target, relay=relay)
    assert jobs_within(profile, 32) == jobs


@pytest.mark.parametrize(
    ("at_once", "seconds", "jobs"), [(None, 0.001, None), (None, 0.02, 32), (8, 0.02, 2), (4, 0.001, 1), (1, 0.02, 1)]
)
def test_the_number_follows_from_distance_and_from_what_the_relay_serves_at_once(
    at_once: int | None, seconds: float, jobs: int | None, tmp_path: Path, make_target: MakeTarget
) -> None:
    slots = threading.Semaphore(at_once or 1000)
    around: Callable[[], AbstractContextManager[object]] = lambda: slots  # noqa: E731
    with tiny_relay(accept, tmp_path, around=around) as endpoint:
        profile = Profile(target=TargetSettings(address=endpoint, transport="tcp", timeout=0.6), tls=DEVELOPMENT)
        facts = Facts(latency=Latency(seconds, seconds, seconds, seconds))
        found = with_jobs(make_target(profile), facts, None)
        assert with_jobs(make_target(profile), facts, 8).jobs == min(8, jobs or 8)
    assert found.jobs == jobs or (jobs is None and found.jobs >= 2)
    assert found.connections == at_once == found.bound(profile)
    assert at_once is None or jobs_while_waiting(profile, found, found.jobs) == found.jobs


def test_a_declared_limit_is_for_its_own_cases_to_judge(tmp_path: Path, make_target: MakeTarget) -> None:
    slots = threading.Semaphore(4)
    with tiny_relay(accept, tmp_path, around=lambda: slots) as endpoint:
        profile = Profile(
            target=TargetSettings(address=endpoint, transport="tcp", timeout=0.6),
            tls=DEVELOPMENT,
            relay=RelayCapabilities(connection_limit=40),
        )
        found = with_jobs(make_target(profile), Facts(latency=Latency(0.02, 0.02, 0.02, 0.02)), None)
    assert (found.jobs, found.connections) == (1, None)


def test_a_relay_that_answers_one_after_the_other_is_judged_by_one_case_at_a_time(
    tmp_path: Path, make_target: MakeTarget
) -> None:
    turn, slow = threading.Lock(), threading.Event()

    def answer(text: bytes) -> bytes:
        with turn:
            slow.wait(0.06)
            return accept(text)

    with tiny_relay(answer, tmp_path, around=contextlib.nullcontext) as endpoint:
        profile = Profile(target=TargetSettings(address=endpoint, transport="tcp"), tls=DEVELOPMENT)
        facts = Facts(latency=Latency(0.01, 0.06, 0.06, 0.06))
        assert with_jobs(make_target(profile), facts, None).jobs == 1
        assert with_jobs(make_target(profile), replace(facts, auth="refused"), None).jobs == 1
        assert with_jobs(make_target(profile), facts, 3).jobs == 3
