"""Source: Message Types / 1. Hello."""

from __future__ import annotations

from typing import Any

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.properties.strategies import MISSING, without
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-HEL-001")
def test_hello_is_answered(relay: RelayUnderTest) -> None:
    """A hello as the page shows it, on a new connection, is answered by a hello_response."""
    judge.accepted(relay.connect().hello())


@requirement("CB-HEL-001")
def test_every_hello_is_answered(relay: RelayUnderTest) -> None:
    """Four connections, one after the other, say hello; each is answered."""
    for _ in range(4):
        session = relay.connect()
        judge.accepted(session.hello())
        session.close()


@requirement("CB-HEL-002")
def test_version_is_a_string(relay: RelayUnderTest) -> None:
    """The answer to a hello is held against the schema of hello_response; every other one in the run is, too."""
    relay.greeted()
    relay.log.judge_invariant("CB-HEL-002")


@requirement("CB-HEL-003")
def test_features_are_strings(relay: RelayUnderTest) -> None:
    """The answer to a hello is held against the schema of hello_response; every other one in the run is, too."""
    relay.greeted()
    relay.log.judge_invariant("CB-HEL-003")


@requirement("CB-HEL-004")
def test_version_is_1_0(relay: RelayUnderTest) -> None:
    """The answer to a hello that names version "1.0" names the same."""
    relay.greeted()
    relay.log.judge_invariant("CB-HEL-004")


@requirement("CB-HEL-005")
@pytest.mark.parametrize("version", [MISSING, None, 1.0, ["1.0"]], ids=["missing", "null", "number", "array"])
def test_version_is_required(relay: RelayUnderTest, version: object) -> None:
    """After a valid hello worked on one connection, one without a proper version is sent on another."""
    _refused(relay, "version", version)


@requirement("CB-HEL-006")
@pytest.mark.parametrize(
    "features", [MISSING, None, "tls", {"tls": True}, ["tls", 1]], ids=["missing", "null", "string", "object", "mixed"]
)
def test_features_are_required(relay: RelayUnderTest, features: object) -> None:
    """After a valid hello worked on one connection, one without proper features is sent on another."""
    _refused(relay, "features", features)


@requirement("CB-HEL-007")
@pytest.mark.parametrize("kind", ["auth", "tunnel_info", "heartbeat"])
def test_hello_comes_first(relay: RelayUnderTest, kind: str) -> None:
    """A valid message is the first on its connection; the same message after hello and auth is the control."""
    control = relay.authenticated()
    if kind == "tunnel_info":
        relay.open_tunnel(control)
    request: dict[str, dict[str, Any]] = {
        "auth": {"type": "auth", "token": relay.tokens.valid(relay.tenant)},
        "tunnel_info": relay.tunnel_info(),
        "heartbeat": {"type": "heartbeat"},
    }
    judge.refused(relay.connect().ask(request[kind]))


@requirement("CB-HEL-008")
@pytest.mark.parametrize("features", [["tls", "heartbeat", "tunnel_info"], []], ids=["three", "none"])
def test_fewer_features_will_do(relay: RelayUnderTest, features: list[str]) -> None:
    """A hello lists three features, as deployed clients do, or none."""
    relay.greeted()
    judge.accepted(relay.connect().hello(features=features))


def _refused(relay: RelayUnderTest, member: str, value: object) -> None:
    relay.greeted()
    judge.refused(relay.connect().ask(without(HELLO, member, value), invalid=f"{member} is not as it must be"))
