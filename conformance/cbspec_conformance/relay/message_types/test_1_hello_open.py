"""Source: Message Types / 1. Hello, where it is silent: what the relay does is recorded and never judged."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.observing import ACCEPTED, reaction
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.properties.strategies import MISSING, without
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-HEL-101")
def test_second_hello(relay: RelayUnderTest) -> None:
    """A second hello follows the first, and on another connection an auth; behind the latter a tunnel is asked for."""
    relay.log.saw(reaction(relay.greeted().hello()), of="after hello")
    relay.open_tunnel(relay.authenticated())
    session = relay.authenticated()
    session.assume(authenticated=False)  # the state after a second hello is unknown: no heartbeat as a fence
    relay.log.saw(reaction(session.hello()), of="after auth")
    if not session.ended:
        relay.log.saw(reaction(session.ask(relay.tunnel_info(session.tenant))), of="a tunnel behind the latter")


@requirement("CB-HEL-102")
def test_another_version(relay: RelayUnderTest) -> None:
    """Hellos that name the versions 0.9, 1.1 and 2.0 are sent, each on a connection of its own."""
    relay.greeted()
    for version in ("0.9", "1.1", "2.0"):
        exchange = relay.connect().hello(version=version)
        seen = reaction(exchange)
        if seen == ACCEPTED and exchange.answer is not None:
            seen = f"{seen}, as version {str(exchange.answer.member('version'))[:20]}"
        relay.log.saw(seen, of=f"version {version}")


@requirement("CB-HEL-103")
def test_how_a_bad_hello_is_refused(relay: RelayUnderTest) -> None:
    """Hellos without a version or features, or with such of the wrong type, are sent, each on its own connection."""
    relay.greeted()
    for name, member, value in (
        ("no version", "version", MISSING),
        ("a number as version", "version", 1.0),
        ("no features", "features", MISSING),
        ("a string as features", "features", "tls"),
    ):
        exchange = relay.connect().ask(without(HELLO, member, value), invalid=f"{member} is not as it must be")
        relay.log.saw(reaction(exchange), of=name)


@requirement("CB-HEL-104")
def test_how_a_message_before_hello_is_met(relay: RelayUnderTest) -> None:
    """Each other message is the first on its connection, and so is one of unknown type."""
    relay.open_tunnel(relay.authenticated())
    requests: tuple[dict[str, Any], ...] = (
        {"type": "auth", "token": relay.tokens.valid(relay.tenant)},
        relay.tunnel_info(),
        {"type": "heartbeat"},
    )
    for request in requests:
        relay.log.saw(reaction(relay.connect().ask(request)), of=request["type"])
    exchange = relay.connect().ask({"type": "cbspec_unknown"}, invalid="of unknown type")
    relay.log.saw(reaction(exchange), of="an unknown type")


@requirement("CB-HEL-105")
def test_features(relay: RelayUnderTest) -> None:
    """The features in the answer to a hello with all five are taken down in the order of the alphabet."""
    relay.log.saw(", ".join(_features(relay, HELLO["features"])) or "none")


@requirement("CB-HEL-106")
def test_features_of_both(relay: RelayUnderTest) -> None:
    """Hellos with all five features, with one and with none are sent; the answers' lists are compared."""
    full, one, none = (_features(relay, list(listed)) for listed in (HELLO["features"], ["tls"], []))
    if full == one == none:
        relay.log.saw("the relay's own, whatever the hello lists")
    elif set(one) <= {"tls"} and not none:
        relay.log.saw("only what the hello lists, too")
    else:
        relay.log.saw("they depend on the hello in another way")


def _features(relay: RelayUnderTest, listed: list[str]) -> list[str]:
    relay.greeted()
    with relay.control("a hello with other features"):
        features = judge.accepted(relay.connect().hello(features=listed)).member("features")
    return sorted(str(feature)[:40] for feature in features) if isinstance(features, list) else []
