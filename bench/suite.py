"""A judged session of the suite, beside a blocking client that says the same bytes: processor time of this process."""

from __future__ import annotations

import atexit
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Final

from cbspec_conformance.record.transcript import Bytes, Direction
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.target.connector import context_for
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preflight import examine
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts

SESSIONS: Final = 20
"""The sessions of one case, and of one call of a benchmark."""


@cache  # in a worker process, and only for a benchmark that it runs
def _relay() -> tuple[SharedParts, Facts]:
    stack = ExitStack()
    atexit.register(stack.close)
    profile = stack.enter_context(embedded_simulator())()
    facts = examine(RelayUnderTest(SharedParts(profile), Facts(), "preflight"))
    return SharedParts(profile, facts.latency), facts


def _case() -> RelayUnderTest:
    return RelayUnderTest(*_relay(), "bench", "CB-TUN-001")


def _session(relay: RelayUnderTest) -> None:
    """Run a judged session: hello, auth, a tunnel_info, a heartbeat, each with its fence where a case has one."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    relay.beat(session)
    session.close()


def _judged() -> None:
    relay = _case()
    for _ in range(SESSIONS):
        _session(relay)
    relay.close()


@cache
def _said() -> tuple[tuple[bool, bytes], ...]:
    """Return what goes over the wire in one session of the suite, and whether the suite sent it."""
    relay = _case()
    _session(relay)
    relay.close()
    records = (record for record in relay.transcript.records if isinstance(record, Bytes))
    return tuple((record.direction is Direction.SENT, record.data) for record in records)


def _bare() -> None:
    relay = _case()
    address, context = relay.endpoint, context_for(relay.profile.tls)
    for _ in range(SESSIONS):
        plain = socket.create_connection((address.host, address.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=address.host) as tls:
            for sent, data in _said():
                if sent:
                    tls.sendall(data)
                else:
                    left = len(data)
                    while left > 0:
                        left -= len(tls.recv(left))
            tls.unwrap()


def _measured(work: Callable[[], None]) -> Callable[[int], float]:
    """Return pyperf's time function for so many calls of `work`."""

    def run(loops: int) -> float:
        _said()
        before = time.process_time()
        for _ in range(loops):
            work()
        return time.process_time() - before

    return run


judged, bare = _measured(_judged), _measured(_bare)
"""pyperf's time functions for the suite's sessions, and for those of the blocking client."""
