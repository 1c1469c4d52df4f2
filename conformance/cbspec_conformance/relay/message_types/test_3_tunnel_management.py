"""Source: Message Types / 3. Tunnel Management; Error Codes / invalid_tunnel_info."""

from __future__ import annotations

from typing import Any

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.properties.damage import is_beyond_readers
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import MISSING, TUNNEL_IDS, without
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_TRIES = 8
_CHANCE = 2
"""Refusals for want of room that may be chance: another client of the relay may hold what there is for a moment."""
_NOT_STRINGS = {"missing": MISSING, "null": None, "number": 42, "true": True, "array": ["a"], "object": {"a": 1}}
_NOT_NUMBERS = {
    "missing": MISSING,
    "null": None,
    "string": "3389",
    "true": True,
    "array": [3389],
    "object": {"port": 1},
}
_OUT_OF_RANGE = {
    "negative": -1,
    "fraction": 3389.5,
    "65536": 65536,
    "16 bits over": 65536 + 3389,
    "16 bits under": 3389 - 65536,
    "32 bits over": 2**32 + 3389,
    "32 bits under": 3389 - 2**32,
    "64 bits over": 2**64 + 3389,
}


@requirement("CB-TUN-001")
def test_valid_tunnel_is_opened(relay: RelayUnderTest) -> None:
    """A tunnel_info as the page shows it, for the token's own tenant, is sent after auth."""
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    judge.accepted(session.ask(relay.tunnel_info(session.tenant)))


@requirement("CB-TUN-001")
def test_more_tunnels_on_a_connection(relay: RelayUnderTest) -> None:
    """Three tunnels are opened one after the other on one connection, as far as the declared limits let them."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    for _ in range(relay.room.tunnels(3) - 1):
        judge.accepted(session.ask(relay.tunnel_info(session.tenant)))


@requirement("CB-TUN-001")
def test_room_does_not_come_and_go(relay: RelayUnderTest) -> None:
    """Tunnels are opened one after the other on one connection, each of them tried once.

    A relay that has no room keeps having none until something is given back; one that refuses for want of room again
    and again, and opens the very next tunnel each time, is not full.
    """
    session = relay.authenticated()
    last: Exchange | None = None
    flips: list[Exchange] = []
    for _ in range(relay.room.tunnels(_TRIES)):
        exchange = session.ask(relay.tunnel_info(session.tenant))
        if judge.served(exchange) and last is not None:
            flips.append(last)
        last = exchange if judge.error_code(exchange) in judge.OUT_OF_ROOM else None
        if len(flips) > _CHANCE:
            seen = f"{judge.error_code(flips[-1])}, {len(flips)} times, and each time the next tunnel was opened"
            raise Broken("tunnels opened while there is room", seen, *flips, exchange)
        session = relay.authenticated() if session.ended else session


@requirement("CB-TUN-001")
@pytest.mark.parametrize("local_port", [1, 65535])
def test_any_local_port_will_do(relay: RelayUnderTest, local_port: int) -> None:
    """The lowest and the highest local port are asked for, after a usual one was accepted."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    relay.room.for_tunnel(session.tenant)
    judge.accepted(session.ask(relay.tunnel_info(session.tenant, local_port=local_port)))


@requirement("CB-TUN-002")
@pytest.mark.parametrize(
    "tunnel_id",
    [
        "t",
        "UPPER-lower_09.~",
        " spaces inside ",
        'quote " and \\ backslash',
        "snow ☃, smile 😀, é",
        "0",
        "x" * 256,
        "a/b?c#d%20",
        "&<>'&amp;&#65;",
        "e\u0301 \ufb01 \u212b",
        "${x} {{x}} %s \\u0041",
    ],
    ids=[
        "short",
        "mixed-case",
        "spaces",
        "quotes",
        "unicode",
        "zero",
        "long",
        "address-like",
        "html",
        "not-normalised",
        "templates",
    ],
)
def test_tunnel_id_comes_back(relay: RelayUnderTest, tunnel_id: str) -> None:
    """Identifiers of many kinds are asked for; the answer's is compared character by character."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    asked = f"{tunnel_id}{relay.tunnel_info()['tunnel_id']}"
    relay.room.for_tunnel(session.tenant)
    exchange = session.ask(relay.tunnel_info(session.tenant, tunnel_id=asked))
    if judge.error_code(exchange) == "invalid_tunnel_info":
        raise NotExercised("the relay takes no tunnel_id of this kind, and the page doesn't say which it must take")
    judge.accepted(exchange)
    relay.log.judge_invariant("CB-TUN-002")


@requirement("CB-TUN-002")
@pytest.mark.parametrize("kind", ["nul-inside", "70,000-letters"])
def test_tunnel_id_that_may_be_refused(relay: RelayUnderTest, kind: str) -> None:
    """A tunnel_id has an escaped NUL inside, or 70,000 letters: it may be refused; if it isn't, it comes back whole."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    name = relay.tunnel_info()["tunnel_id"]
    asked = f"{name}\0{name}" if kind == "nul-inside" else name + "".join(f"{n:07}" for n in range(10_000))
    relay.room.for_tunnel(session.tenant)
    # Who refuses a message for its size may pass over what follows: no fence.
    exchange = session.ask(relay.tunnel_info(session.tenant, tunnel_id=asked), fence=False)
    relay.log.judge_invariant("CB-TUN-002")
    if not judge.served(exchange):
        raise NotExercised("the relay takes no tunnel_id of this kind, and the page doesn't say which it must take")


@requirement("CB-TUN-002")
def test_any_tunnel_id_comes_back(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Hypothesis draws identifiers from all of Unicode; the answer's is compared character by character."""
    sessions = Sessions(relay)

    def check(tunnel_id: str) -> None:
        session = sessions.next(tunnel_id)
        exchange = session.ask(relay.tunnel_info(session.tenant, tunnel_id=tunnel_id))
        if judge.error_code(exchange) != "invalid_tunnel_info":
            judge.accepted(exchange)
            relay.log.judge_invariant("CB-TUN-002")

    explorer.explore(TUNNEL_IDS, check)


@requirement("CB-TUN-002")
def test_tunnel_ids_stay_apart(relay: RelayUnderTest) -> None:
    """Two connections open tunnels in turn; each answer names the tunnel of its own connection's last request."""
    one, two = relay.authenticated(), relay.authenticated()
    for session in (one, two, one):
        relay.room.for_tunnel(session.tenant)
        judge.accepted(session.ask(relay.tunnel_info(session.tenant)))
    relay.log.judge_invariant("CB-TUN-002")


@requirement("CB-TUN-003")
def test_no_tunnel_before_auth(relay: RelayUnderTest) -> None:
    """A tunnel_info that is accepted after auth is sent on a connection that only said hello."""
    _tunnel_and_close(relay)
    judge.not_accepted(relay.greeted().ask(relay.tunnel_info()), "no tunnel before auth")


@requirement("CB-TUN-003")
def test_no_tunnel_before_hello(relay: RelayUnderTest) -> None:
    """A tunnel_info that is accepted after auth is the first message of its connection."""
    _tunnel_and_close(relay)
    judge.not_accepted(relay.connect().ask(relay.tunnel_info()), "no tunnel before hello and auth")


@requirement("CB-TUN-004")
def test_tunnel_before_auth_draws_invalid_token(relay: RelayUnderTest) -> None:
    """A tunnel_info that is accepted after auth is sent on a connection that only said hello."""
    _tunnel_and_close(relay)
    exchange = relay.greeted().ask(relay.tunnel_info())
    if judge.served(exchange):
        raise Inconclusive("it was opened (see CB-TUN-003)")
    judge.refused_with(exchange, "invalid_token")


@requirement("CB-TUN-005")
def test_tunnel_id_must_be_a_string(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its tunnel_id only."""
    _refused(relay, "tunnel_id", _NOT_STRINGS)


@requirement("CB-TUN-006")
def test_local_port_must_be_a_number(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its local_port only."""
    _refused(relay, "local_port", _NOT_NUMBERS)


@requirement("CB-TUN-007")
def test_local_port_must_exist(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its local_port only."""
    _refused(relay, "local_port", _OUT_OF_RANGE)


@requirement("CB-TUN-008")
def test_remote_host_must_be_a_string(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its remote_host only."""
    _refused(relay, "remote_host", _NOT_STRINGS)


@requirement("CB-TUN-009")
def test_remote_port_must_be_a_number(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its remote_port only."""
    _refused(relay, "remote_port", _NOT_NUMBERS)


@requirement("CB-TUN-010")
def test_remote_port_must_exist(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its remote_port only."""
    _refused(relay, "remote_port", {"zero": 0, **_OUT_OF_RANGE})


@requirement("CB-TUN-011")
def test_local_port_zero(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its local_port only."""
    _refused(relay, "local_port", {"zero": 0})


@requirement("CB-TUN-012")
def test_empty_tunnel_id(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its tunnel_id only."""
    _refused(relay, "tunnel_id", {"empty": ""})


@requirement("CB-TUN-013")
def test_blank_remote_host(relay: RelayUnderTest) -> None:
    """A tunnel_info that differs from an accepted one in its remote_host only."""
    _refused(relay, "remote_host", {"empty": "", "blank": "   "})


def _tunnel_and_close(relay: RelayUnderTest) -> None:
    """Open a tunnel, as a control, and close its connection: what counts for others beside it is CB-AUT-017's."""
    session = relay.authenticated()
    relay.open_tunnel(session)
    session.close()


def _refused(relay: RelayUnderTest, member: str, values: dict[str, Any]) -> None:
    """Ask for tunnels that differ from an accepted one in `member` only; MISSING leaves it out."""
    sessions = Sessions(relay)

    def check(value: object) -> None:
        session = sessions.next()
        request = without(relay.tunnel_info(session.tenant), member, value)
        exchange = session.ask(request, invalid=f"{member} is not as it must be")
        if is_beyond_readers(value):
            judge.refused(exchange)
        else:
            judge.refused_with(exchange, "invalid_tunnel_info")

    each(values, check)
