"""Source: Message Types / 1. Hello."""

from __future__ import annotations

from typing import Any

import pytest

from cbspec.tokens.forgery import MISSING
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.observing import ACCEPTED, reaction
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.record.changes import changed, without
from cbspec_conformance.relay.requests import TYPES, UNKNOWN, record_reaction, with_tunnel
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest

_INVALID: dict[str, tuple[str, dict[str, Any]]] = {
    "CB-HEL-005": ("version", {"missing": MISSING, "null": None, "number": 1.0, "array": ["1.0"]}),
    "CB-HEL-006": (
        "features",
        {"missing": MISSING, "null": None, "string": "tls", "object": {"tls": True}, "mixed": ["tls", 1]},
    ),
}


@requirement("CB-HEL-001")
def test_hello_is_answered(relay: RelayUnderTest) -> None:
    """Send the hello of the specification on four connections, one after the other; expect a hello_response to each."""
    for _ in range(4):
        session = relay.connect()
        judge.accepted(session.hello())
        session.close()


@requirements("CB-HEL-002", "CB-HEL-003", "CB-HEL-004")
def test_hello_response_is_valid(relay: RelayUnderTest, identifier: str) -> None:
    """Check the members of a hello_response; those of the other cases are checked, too."""
    relay.greeted()
    relay.log.judge_invariant(identifier)


@requirements("CB-HEL-005", "CB-HEL-006")
def test_members_are_required(relay: RelayUnderTest, identifier: str) -> None:
    """After a valid hello, send hellos whose version or features are missing or invalid, each on a new connection."""
    member, values = _INVALID[identifier]
    relay.greeted()

    def check(value: object) -> None:
        exchange = relay.connect().ask(without(HELLO, member, value), invalid=changed(member, value))
        judge.refused(exchange)

    each(values, check)


@requirement("CB-HEL-007")
@pytest.mark.parametrize("kind", TYPES[1:])
def test_hello_comes_first(relay: RelayUnderTest, kind: str) -> None:
    """Send a valid request as the first message of a connection; the control sends it after hello and auth."""
    control = relay.authenticated()
    if kind == "tunnel_info":
        relay.open_tunnel(control)
    judge.refused(relay.connect().ask(relay.request(kind)))


@requirement("CB-HEL-008")
@pytest.mark.parametrize("features", [["tls", "heartbeat", "tunnel_info"], []], ids=["three", "none"])
def test_fewer_features_are_accepted(relay: RelayUnderTest, features: list[str]) -> None:
    """Send a hello with three features, as deployed clients do, or without any."""
    relay.greeted()
    judge.accepted(relay.connect().hello(features=features))


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-HEL-101")
def test_second_hello(relay: RelayUnderTest) -> None:
    """Send a second hello after the first; on another connection, send it after auth, followed by a tunnel_info."""
    record_reaction(relay, relay.greeted(), HELLO, of="after hello")
    with_tunnel(relay)
    session = relay.authenticated()
    session.assume(authenticated=False)  # the state after a second hello is unknown: a heartbeat is no fence
    record_reaction(relay, session, HELLO, of="after auth")
    if not session.ended:
        record_reaction(relay, session, relay.tunnel_info(session.tenant), of="a tunnel after that")


@requirement("CB-HEL-102")
def test_another_version(relay: RelayUnderTest) -> None:
    """Send hellos with the versions 0.9, 1.1 and 2.0, each on a connection of its own."""
    relay.greeted()
    for version in ("0.9", "1.1", "2.0"):
        exchange = relay.connect().hello(version=version)
        seen = reaction(exchange)
        if seen == ACCEPTED and exchange.answer is not None:
            seen = f"{seen}, as version {str(exchange.answer.member('version'))[:20]}"
        relay.log.saw(seen, of=f"version {version}")


@requirement("CB-HEL-103")
def test_reaction_to_an_invalid_hello(relay: RelayUnderTest) -> None:
    """Send hellos whose version or features are missing or of a wrong type, each on a connection of its own."""
    relay.greeted()
    for name, member, value in (
        ("no version", "version", MISSING),
        ("a number as version", "version", 1.0),
        ("no features", "features", MISSING),
        ("a string as features", "features", "tls"),
    ):
        request = without(HELLO, member, value)
        record_reaction(relay, relay.connect(), request, of=name, invalid=changed(member, value))


@requirement("CB-HEL-104")
def test_reaction_to_a_message_before_hello(relay: RelayUnderTest) -> None:
    """Send each other request, and a message of unknown type, as the first message of a connection."""
    with_tunnel(relay)
    for kind in TYPES[1:]:
        record_reaction(relay, relay.connect(), relay.request(kind), of=kind)
    record_reaction(relay, relay.connect(), UNKNOWN, of="an unknown type", invalid="of unknown type")


@requirement("CB-HEL-105")
def test_features(relay: RelayUnderTest) -> None:
    """Record the features in the answer to a hello with all five, in alphabetical order."""
    relay.log.saw(", ".join(_features(relay, HELLO["features"])) or "none")


@requirement("CB-HEL-106")
def test_features_of_both(relay: RelayUnderTest) -> None:
    """Send hellos with all five features, with one and with none, and compare the features of the answers."""
    full, one, none = (_features(relay, list(listed)) for listed in (HELLO["features"], ["tls"], []))
    if full == one == none:
        relay.log.saw("the relay's own, independent of the hello")
    elif set(one) <= {"tls"} and not none:
        relay.log.saw("only those of the hello")
    else:
        relay.log.saw("they depend on the hello in another way")


def _features(relay: RelayUnderTest, listed: list[str]) -> list[str]:
    relay.greeted()
    with relay.control("a hello with other features"):
        features = judge.accepted(relay.connect().hello(features=listed)).member("features")
    return sorted(str(feature)[:40] for feature in features) if isinstance(features, list) else []
