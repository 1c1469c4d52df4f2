"""hello and its answer."""

from __future__ import annotations

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, hello, member, met, show
from tests.support.memory import HELLO, MemoryRelay, auth

FIVE = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]


def _direct_auth(memory: MemoryRelay) -> list[str]:
    return met(memory.client(), auth())


def _of_hello(**members: object) -> Look:
    body = {key: value for key, value in {**HELLO, **members}.items() if value is not ...}
    return lambda memory: met(memory.client(), body)


_greeting, _granted, _bad = ["hello_response"], ["auth_response"], ["unknown_message_type"]

PROBES = {
    "hello-unanswered": Probe(_of_hello(), _greeting, []),
    "hello-refused": Probe(_of_hello(), _greeting, _bad),
    "hello-version-missing": Probe(member(hello, "version"), ["1.0"], [...]),
    "hello-version-number": Probe(member(hello, "version"), ["1.0"], [1.0]),
    "hello-version-null": Probe(member(hello, "version"), ["1.0"], [None]),
    "hello-version-2.0": Probe(member(hello, "version"), ["1.0"], ["2.0"]),
    "hello-features-missing": Probe(member(hello, "features"), [FIVE], [...]),
    "hello-features-object": Probe(member(hello, "features"), [FIVE], [dict.fromkeys(FIVE, True)]),
    "hello-features-text": Probe(member(hello, "features"), [FIVE], [",".join(FIVE)]),
    "hello-features-number-inside": Probe(member(hello, "features"), [FIVE], [[*FIVE, 2]]),
    "hello-answered-twice": Probe(_of_hello(), _greeting, _greeting * 2),
    "hello-without-version-accepted": Probe(_of_hello(version=...), _bad, _greeting),
    "hello-with-number-version-accepted": Probe(_of_hello(version=1.0), _bad, _greeting),
    "hello-without-features-accepted": Probe(_of_hello(features=...), _bad, _greeting),
    "hello-with-text-features-accepted": Probe(_of_hello(features="tls"), _bad, _greeting),
    "hello-with-three-features-refused": Probe(_of_hello(features=FIVE[:3]), _greeting, _bad),
    "auth-before-hello-accepted": Probe(_direct_auth, _bad, _granted),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
