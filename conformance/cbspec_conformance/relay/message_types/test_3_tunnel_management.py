"""Source: Message Types / 3. Tunnel Management; Error Codes / invalid_tunnel_info."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cbspec.tokens.forgery import MISSING
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import TUNNEL_IDS
from cbspec_conformance.record.changes import without
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.requests import TUNNEL_ID_REFUSED, invalid_member_refused, record_reaction, with_tunnel
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.kinds import in_turn
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_TRIES = 8
_BY_CHANCE = 2  # refusals for lack of room that may be chance: another client may use up a limit for a moment
_LONG = 1000
_MOST_TUNNELS = 6  # of one connection: a relay may have limits that the profile doesn't declare
_MAY_BE_REFUSED = ("nul-inside", "controls", "70,000-letters")
_UNUSUAL_IDS = {
    "short": "t",
    "mixed-case": "UPPER-lower_09.~",
    "spaces": " spaces inside ",
    "quotes": 'quote " and \\ backslash',
    "unicode": "snow ☃, smile 😀, é",
    "zero": "0",
    "long": "x" * 256,
    "address-like": "a/b?c#d%20",
    "controls": "tab\t line feed\n return\r bell\a escape\x1b delete\x7f",
    "html": "&<>'&amp;&#65;",
    "not-normalised": "e\u0301 \ufb01 \u212b",
    "templates": "${x} {{x}} %s \\u0041",
    "nul-inside": "nul\0",
    "70,000-letters": "".join(f"{n:07}" for n in range(10_000)),
}
"""Beginnings of tunnel_ids that a relay must return unchanged, if it accepts them at all."""

_NEITHER = {"missing": MISSING, "null": None, "true": True}
_NOT_STRINGS = {**_NEITHER, "number": 42, "array": ["a"], "object": {"a": 1}}
_NOT_NUMBERS = {**_NEITHER, "string": "3389", "array": [3389], "object": {"port": 1}}
_OUT_OF_RANGE = {
    "negative": -1,
    "fraction": 3389.5,
    "half": 0.5,
    "65535.5": 65535.5,
    "1e18": 10**18,
    "65536": 65536,
    "16 bits over": 65536 + 3389,
    "16 bits under": 3389 - 65536,
    "32 bits over": 2**32 + 3389,
    "32 bits under": 3389 - 2**32,
    "64 bits over": 2**64 + 3389,
}
_INVALID: dict[str, tuple[str, dict[str, Any]]] = {
    "CB-TUN-005": ("tunnel_id", _NOT_STRINGS),
    "CB-TUN-006": ("local_port", _NOT_NUMBERS),
    "CB-TUN-007": ("local_port", _OUT_OF_RANGE),
    "CB-TUN-008": ("remote_host", _NOT_STRINGS),
    "CB-TUN-009": ("remote_port", _NOT_NUMBERS),
    "CB-TUN-010": ("remote_port", {"zero": 0, **_OUT_OF_RANGE}),
    "CB-TUN-011": ("local_port", {"zero": 0}),
    "CB-TUN-012": ("tunnel_id", {"empty": ""}),
    "CB-TUN-013": ("remote_host", {"empty": "", "blank": "   "}),
}
"""For each requirement on a member, the member and values that break it; MISSING leaves it out."""


@requirement("CB-TUN-001")
@pytest.mark.parametrize("local_port", [3389, 1, 65535])
def test_valid_tunnel_is_opened(relay: RelayUnderTest, local_port: int) -> None:
    """Send a tunnel_info as in the specification; after an accepted one, one with the lowest or highest local port."""
    session = relay.authenticated() if local_port == 3389 else with_tunnel(relay)
    relay.room.for_tunnel(session.tenant)
    judge.accepted(session.ask(relay.tunnel_info(session.tenant, local_port=local_port)))


@requirement("CB-TUN-001")
def test_more_tunnels_on_a_connection(relay: RelayUnderTest) -> None:
    """Open three tunnels in turn on one connection, as far as the declared limits allow."""
    session = with_tunnel(relay)
    for _ in range(relay.room.tunnels(3) - 1):
        judge.accepted(session.ask(relay.tunnel_info(session.tenant)))


@requirement("CB-TUN-001")
def test_room_does_not_come_and_go(relay: RelayUnderTest) -> None:
    """Request tunnels in turn on one connection, each once.

    A full relay refuses until a tunnel is released. A relay that refuses some tunnels for lack of room, but opens the
    next one each time, is not full.
    """
    session = relay.authenticated()
    last: Exchange | None = None
    flips: list[Exchange] = []
    for _ in range(relay.room.tunnels(_TRIES)):
        exchange = session.ask(relay.tunnel_info(session.tenant))
        if judge.served(exchange) and last is not None:
            flips.append(last)
        last = exchange if judge.error_code(exchange) in judge.OUT_OF_ROOM else None
        if len(flips) > _BY_CHANCE:
            seen = f"{judge.error_code(flips[-1])}, {len(flips)} times, and each time the next tunnel was opened"
            raise Broken("tunnels opened while there is room", seen, *flips, exchange)
        session = relay.authenticated() if session.ended else session


@requirement("CB-TUN-002")
def test_tunnel_id_comes_back(relay: RelayUnderTest) -> None:
    """Request tunnels with unusual identifiers; a relay that accepts one returns the same characters."""

    def check(session: ProbeSession, kind: str) -> None:
        relay.room.for_tunnel(session.tenant)
        tunnel_id = f"{_UNUSUAL_IDS[kind]}{relay.tunnel_info()['tunnel_id']}"
        # A relay that refuses a message for its size may ignore the next one: no fence.
        fence = len(tunnel_id) < _LONG
        exchange = session.ask(relay.tunnel_info(session.tenant, tunnel_id=tunnel_id), fence=fence)
        relay.log.judge_invariant("CB-TUN-002")
        refused = judge.error_code(exchange) == "invalid_tunnel_info"
        if refused or (kind in _MAY_BE_REFUSED and not judge.served(exchange)):
            raise NotExercised(TUNNEL_ID_REFUSED)
        judge.accepted(exchange)

    most = max(1, relay.room.tunnels(_MOST_TUNNELS) - 1)
    in_turn({kind: kind for kind in _UNUSUAL_IDS}, lambda: with_tunnel(relay), check, most=most)


@requirement("CB-TUN-002")
def test_any_tunnel_id_comes_back(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Request random identifiers from all of Unicode; the answer's must be the same in every character."""
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
    """Open tunnels on two connections in turn; each answer must name the tunnel of its own connection's request."""
    one, two = relay.authenticated(), relay.authenticated()
    for session in (one, two, one):
        relay.room.for_tunnel(session.tenant)
        judge.accepted(session.ask(relay.tunnel_info(session.tenant)))
    relay.log.judge_invariant("CB-TUN-002")


@requirement("CB-TUN-003")
@pytest.mark.parametrize("step", ["hello", "auth"])
def test_no_tunnel_before_auth(relay: RelayUnderTest, step: str) -> None:
    """Send a tunnel_info, which is accepted after auth, before hello or before auth."""
    with_tunnel(relay).close()
    session = relay.connect() if step == "hello" else relay.greeted()
    judge.not_accepted(session.ask(relay.tunnel_info()), f"no tunnel before {step}")


@requirement("CB-TUN-004")
def test_tunnel_before_auth_draws_invalid_token(relay: RelayUnderTest) -> None:
    """Send a tunnel_info, which is accepted after auth, on a connection after hello only; expect invalid_token."""
    with_tunnel(relay).close()
    exchange = relay.greeted().ask(relay.tunnel_info())
    if judge.served(exchange):
        raise Inconclusive("the tunnel was opened (see CB-TUN-003)")
    judge.refused_with(exchange, "invalid_token")


@requirements(
    *("CB-TUN-005", "CB-TUN-006", "CB-TUN-007", "CB-TUN-008", "CB-TUN-009"),
    *("CB-TUN-010", "CB-TUN-011", "CB-TUN-012", "CB-TUN-013"),
)
def test_invalid_member_is_refused(relay: RelayUnderTest, identifier: str) -> None:
    """Send tunnel_infos that differ from an accepted one in one member only; expect invalid_tunnel_info."""
    invalid_member_refused(relay, *_INVALID[identifier], "invalid_tunnel_info")


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-TUN-015")
def test_missing_member_after_a_complete_request(relay: RelayUnderTest) -> None:
    """Leave out a member of the first tunnel_info of a connection, then of one after a complete tunnel_info."""

    def check(session: ProbeSession, member: str) -> None:
        with relay.control(f"refusing a connection's first tunnel_info without {member}"):
            judge.refused(_without(relay, relay.authenticated(), member))
        judge.refused(_without(relay, session, member))

    members = ("tunnel_id", "tenant_id", "local_port", "remote_host", "remote_port")
    in_turn({member: member for member in members}, lambda: with_tunnel(relay), check)


def _without(relay: RelayUnderTest, session: ProbeSession, member: str) -> Exchange:
    return session.ask(without(relay.tunnel_info(session.tenant), member), invalid=f"{member} is missing")


@requirement("CB-TUN-101")
def test_ports_with_a_point(relay: RelayUnderTest) -> None:
    """Send tunnel_infos whose valid ports are written with a fraction of zero, or with an exponent of zero."""
    with_tunnel(relay)
    remote = relay.profile.remote.reachable.port
    for member, port in (("local_port", 3389), ("remote_port", remote)):
        for ending in (".0", "e0"):
            session = relay.authenticated()
            request = relay.tunnel_info(session.tenant, **{member: float(port)})
            text = json.dumps({**request, member: "?"}).replace('"?"', f"{port}{ending}")
            exchange = session.ask(request, encode=lambda _, text=text: text.encode())  # type: ignore[misc]
            relay.log.saw(reaction(exchange), of=f"{member} with {ending}")
            session.close()


@requirement("CB-TUN-102")
def test_identifier_twice_on_a_connection(relay: RelayUnderTest) -> None:
    """Request the tunnel_id of an open tunnel again: in the same message, and with another local_port."""
    for name, changes in (("the same again", {}), ("with another local_port", {"local_port": 3390})):
        session = relay.authenticated()
        first = _request(relay.open_tunnel(session))
        relay.room.for_tunnel(session.tenant)
        record_reaction(relay, session, {**first, **changes}, of=name)


@requirement("CB-TUN-103")
def test_identifier_on_two_connections(relay: RelayUnderTest) -> None:
    """Request the tunnel_id of an open tunnel on another connection, of the same tenant and of another."""
    tunnel_id = _request(relay.open_tunnel(relay.authenticated()))["tunnel_id"]
    for name, tenant in (("the same tenant", relay.tenant), ("another tenant", relay.profile.second_tenant)):
        if tenant is not None:
            other = relay.authenticated(tenant)
            relay.room.for_tunnel(tenant.id)
            record_reaction(relay, other, relay.tunnel_info(tenant.id, tunnel_id=tunnel_id), of=name)


@requirement("CB-TUN-104")
def test_two_mistakes_at_once(relay: RelayUnderTest) -> None:
    """Send a tunnel_info with another tenant's tenant_id and a negative port."""
    relay.needs.tenancy()
    other = relay.profile.second_tenant
    request = relay.tunnel_info(other.id if other else f"{relay.tenant.id}-unknown", local_port=-1)
    record_reaction(relay, with_tunnel(relay), request, invalid="local_port is negative")


def _request(exchange: Exchange) -> dict[str, object]:
    return dict(exchange.request.value) if exchange.request is not None else {}
