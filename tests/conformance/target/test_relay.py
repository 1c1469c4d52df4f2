"""The relay under test, against a simulator: controls, requests, tokens, and limits that stay hit."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cbspec.profile.profile import IssuerSettings, Profile, TargetSettings, Tenant
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.wire import Wire
from cbspec_conformance.runner.outcomes import TimeUp
from cbspec_conformance.target.kinds import each, in_turn
from tests.conformance.build import HELLO, error, exchange
from tests.conformance.build import exchange as made
from tests.conformance.conftest import MakeTarget


def test_a_failed_control_is_inconclusive(simulated: Profile, make_target: MakeTarget) -> None:
    for fact in ("hello", "auth", "tunnel"):
        target = make_target(simulated, **{fact: "it was refused in the preflight"})
        with pytest.raises(Inconclusive, match="it was refused"):
            target.open_tunnel(target.authenticated())


@pytest.mark.parametrize(
    ("errors", "raised", "stuck"),
    [
        ([NotExercised("no")], NotExercised, False),
        ([Broken("a", "b")], Broken, True),
        ([NoRoom("full"), Broken("an answer", "the connection was closed")], NoRoom, False),
    ],
)
def test_room_is_awaited_unless_the_relay_closes_the_connection(
    errors: list[Exception], raised: type[Exception], stuck: bool, simulated: Profile, make_target: MakeTarget
) -> None:
    target = make_target(simulated, auth="" if len(errors) > 1 else "it was refused, and is not waited for")

    def attempt() -> None:
        raise errors.pop(0)

    with pytest.raises(raised):
        target.soon(attempt)
    assert ("soon" in target.tempo.stuck) is stuck


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, TimeUp])
def test_an_interrupted_opening_handshake_closes_the_connection(
    interruption: type[BaseException], simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted: list[Wire] = []

    def receive(wire: Wire, wait: float) -> bytes:
        interrupted.append(wire)
        raise interruption

    monkeypatch.setattr(Wire, "receive", receive)
    with pytest.raises(interruption):
        make_target(simulated).connect(transport="websocket")
    assert [wire.closed for wire in interrupted] == [True]


def test_a_refused_tunnel_on_a_closed_connection_is_a_lack_of_room(
    simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_target(simulated).authenticated()
    session.close()
    refused = made({"type": "tunnel_info"}, error("buffer_pool_exhausted"))
    monkeypatch.setattr(session, "ask", lambda *_, **__: refused)
    with pytest.raises(NoRoom, match="buffer_pool_exhausted"):
        make_target(simulated).open_tunnel(session)


def test_tokens_need_a_key_that_the_relay_knows(simulated: Profile, make_target: MakeTarget) -> None:
    wrong = replace(simulated, tokens=IssuerSettings(secret="not-the-relay-s-secret-but-long-enough"))
    with pytest.raises(Inconclusive, match="auth of"):
        make_target(wrong).authenticated()
    target = make_target(replace(simulated, tokens=IssuerSettings()))
    with pytest.raises(NotExercised, match="tokens"):
        target.authenticated()


@pytest.mark.parametrize(
    ("limit", "key"),
    [
        ({"connection_limit": 2}, "tenants.connection_limit"),
        ({"tunnel_limit": 2}, "tenants.tunnel_limit"),
        ({"connection_limit": 2}, "relay.connection_limit"),
        ({"buffer_pool": 2}, "relay.buffer_pool"),
    ],
)
def test_a_declared_limit_is_not_hit_by_accident(
    limit: dict[str, Any], key: str, simulated: Profile, make_target: MakeTarget
) -> None:
    if key.startswith("tenants"):
        target = make_target(replace(simulated, tenants=(Tenant("tenant-001", **limit),)))
    else:
        target = make_target(replace(simulated, relay=replace(simulated.relay, **limit)))
    assert target.room.tunnels(5) == (5 if "connection_limit" in limit else 2)
    for _ in range(2):  # closed sessions count no more
        sessions = [target.authenticated()]
        target.open_tunnel(sessions[0])
        sessions.append(target.authenticated())
        target.open_tunnel(sessions[1])
        with pytest.raises(NotExercised, match=f"{key}.* leaves no room for 3"):
            target.open_tunnel(target.authenticated())
        target.close()
        assert all(session.ended for session in sessions)


@pytest.mark.parametrize(
    ("declared", "offered", "applies"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_tenancy_applies_if_declared_or_else_offered(
    declared: bool | None, offered: bool, applies: bool, make_target: MakeTarget
) -> None:
    profile = Profile(target=TargetSettings(multi_tenancy=declared))
    needs = make_target(profile, features=("multi_tenancy",) if offered else ()).needs
    with contextlib.nullcontext() if applies else pytest.raises(NotExercised, match=r"target\.multi_tenancy"):
        needs.tenancy()


CASES = [
    ("tenant_limit_exceeded", "tunnel_info", ""),  # the cause is found after the case
    ("tenant_limit_exceeded", "auth", ""),
    ("connection_limit_reached", "hello", "CB-CON-005"),
    ("buffer_pool_exhausted", "tunnel_info", "CB-BUF-003"),
]


@pytest.mark.parametrize(("code", "request_type", "requirement"), CASES)
@pytest.mark.parametrize("declared", [True, False])
def test_a_limit_that_stays_hit_breaks_its_own_requirement(
    code: str, request_type: str, requirement: str, declared: bool, simulated: Profile, make_target: MakeTarget
) -> None:
    limit = 3 if declared else None
    profile = replace(
        simulated,
        tenants=(Tenant("one", tunnel_limit=limit, connection_limit=limit),),
        relay=replace(simulated.relay, connection_limit=limit, buffer_pool=limit),
    )
    target = make_target(profile)
    full = made({"type": request_type}, error(code))
    assert target.is_full(full, "one", last=False)  # a connection may have closed a moment ago
    assert target.log.findings == []
    with pytest.raises(Inconclusive, match=r"it is full|holds fewer than"):
        target.is_full(full, "one", last=True)
    assert not target.is_full(made({"type": request_type}, error("invalid_token")), "one", last=True)
    assert [finding.requirement for finding in target.log.findings] == (
        [requirement] if declared and requirement else []
    )


@pytest.mark.parametrize(
    ("identifier", "leaks"),
    [("Home", False), ("t2", True), ("x" * 16, True)],
)
def test_an_error_may_contain_another_tenants_name_only_if_it_is_a_word(
    identifier: str, leaks: bool, simulated: Profile, make_target: MakeTarget
) -> None:
    other = replace(simulated, tenants=(*simulated.tenants[:1], Tenant(identifier)))
    target = make_target(other)
    session = target.connect()
    target.log.observe(
        made({"type": "hello"}, error(message=f"{identifier} down"), secrets=session.heartbeat().secrets)
    )
    assert ["CB-ERR-004" in finding.requirement for finding in target.log.findings] == [True] * leaks


KINDS = ("one", "two", "three", "four", "five", "six")
SEEN = exchange(HELLO)
SILENCE = Broken("an error", "silence", SEEN, requirement="CB-HEL-005")


@pytest.mark.parametrize(
    ("errors", "result", "tried"),
    [
        ({}, "", 6),
        ({"two": SILENCE, "four": SILENCE}, "expected an error; seen: silence (two; broken, too: four)", 6),
        ({"one": Inconclusive("slow one"), "two": Inconclusive("slow two")}, "slow one", 6),
        (dict.fromkeys(KINDS, SILENCE), "expected an error; seen: silence (one; broken, too: two, three, four)", 4),
        ({"two": NotExercised("give a key")}, "", 6),
        (dict.fromkeys(KINDS, NotExercised("give a key")), "give a key", 6),
    ],
)
def test_every_kind_is_tried_and_the_failure_names_the_broken_ones(
    errors: dict[str, Exception], result: str, tried: int
) -> None:
    seen: list[str] = []
    raised: Exception | None = None

    def check(kind: str) -> None:
        seen.append(kind)
        if kind in errors:
            raise errors[kind]

    try:
        each({kind: kind for kind in KINDS}, check)
    except (Broken, Inconclusive, NotExercised) as error:
        raised = error
    assert (str(raised or ""), len(seen)) == (result, tried)
    if isinstance(raised, Broken):
        assert (raised.exchanges, raised.requirement) == ((SEEN,), "CB-HEL-005")


@pytest.mark.parametrize(
    ("breaks", "control", "most", "places"),
    [
        ({}, True, None, [1, 1, 1, 1, 1, 1]),
        ({}, True, 4, [1, 1, 1, 1, 2, 2]),
        ({"three": (3,)}, True, None, [1, 1, 1, 2, 2, 2, 2]),  # tried again on a new connection, which shows nothing
        ({"one": (1,), "three": (1, 2)}, True, None, [1, 2, 2, 3, 4, 4, 4]),
        ({}, False, None, [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6]),  # no control: all but the first again, each alone
    ],
)
def test_kinds_on_one_connection_are_confirmed_on_a_new_one(
    breaks: Mapping[str, Sequence[int]],
    control: bool,
    most: int | None,
    places: Sequence[int],
    simulated: Profile,
    make_target: MakeTarget,
) -> None:
    """`breaks` has the kinds that are broken at these places of a connection, `places` the connection of each try."""
    target, seen = make_target(simulated), list[int]()

    def check(session: ProbeSession, kind: str) -> None:
        seen.append(session.wire.number)
        if seen.count(session.wire.number) in breaks.get(kind, ()):
            raise SILENCE

    raised = ""
    try:
        in_turn({kind: kind for kind in KINDS}, target.greeted, check, most=most, control=lambda _: control)
    except Broken as broken:
        raised = broken.seen
    assert [sorted({*seen}).index(number) + 1 for number in seen] == places
    assert raised == ("silence (one; broken, too: three)" if "one" in breaks else "")


def test_only_waiting_for_the_relay_counts_against_it(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated)
    target.greeted()
    waited = target.transcript.cost.waiting
    target.clock.sleep(0.1)
    assert 0.0 < waited == target.transcript.cost.waiting
