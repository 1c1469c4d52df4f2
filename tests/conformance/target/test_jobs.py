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
from cbspec_conformance.target.jobs import jobs_for, jobs_within
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
        found = jobs_for(make_target(profile), facts)
    assert found == jobs or (jobs is None and found >= 2)


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
        assert jobs_for(make_target(profile), facts) == 1
        assert jobs_for(make_target(profile), replace(facts, auth="refused")) == 1
