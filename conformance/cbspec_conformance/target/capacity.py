"""Measures the room that a tenant's limits leave, and finds the action that loses some of it for good."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NeedsAlone, NoRoom, NotExercised, RateLimited
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.changes import without
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.target.ledger import PAUSES
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.room import assigned

FULL: Final = "tenant_limit_exceeded"
LARGEST: Final = 256
"""The largest limit that the suite fills: more connections would be a load test."""

_MEASURED_TOGETHER: Final = 4  # limits: more would need much memory on a relay with very large answers

LimitKey = Literal["tunnel_limit", "connection_limit"]  # the profile's key of a tenant's limit
_KEYS: Final[tuple[LimitKey, ...]] = ("tunnel_limit", "connection_limit")

AT_THE_END: Final = "CB-LIM-019"
_CLOSE: Final = "CB-LIM-016"
_SOON: Final = ("CB-LIM-006", "CB-LIM-014")
_ROWS: Final = ("CB-LIM-001", "CB-LIM-003", "CB-LIM-004", "CB-LIM-011", "CB-LIM-013", *_SOON)
"""The requirements that a tenant without room breaks."""

_Room = tuple[int, tuple[Exchange, ...]]  # the room that was found, and the refusal if it was less than wanted

_BRIEFLY: Final = (0.0, 1.0)  # seconds that a relay may need to give room back after an earlier run
_SHORT: Final = tuple(pause for pause in PAUSES if pause <= 1)


@dataclass(frozen=True, slots=True)
class TenantLimit:
    """A limit that the profile declares for a tenant."""

    key: LimitKey
    tenant: Tenant
    size: int

    @property
    def name(self) -> str:
        """The limit as the report names it."""
        return f"{self.key.removesuffix('_limit')}s of {self.tenant.id}"


def tenants_limits(relay: RelayUnderTest, keys: Sequence[LimitKey] = _KEYS, *, each: bool = False) -> list[TenantLimit]:
    """Return the declared limits of tenants that can be filled: the case's own of each kind, or with `each` all."""
    found: list[TenantLimit] = []
    for key in keys:
        tenants = relay.profile.tenants_with(key) if each else assigned(relay.profile, key, relay.case)
        theirs = [TenantLimit(key, tenant, getattr(tenant, key)) for tenant in tenants]
        found += [limit for limit in theirs if limit.size <= LARGEST]
    return found


def room(relay: RelayUnderTest, limit: TenantLimit) -> _Room:
    """Take all the room that the relay gives and release it; return how much it was, and the refusal if it was less."""
    relay.room.use(limit.tenant)
    try:
        return _tunnels(relay, limit) if limit.key == "tunnel_limit" else _connections(relay, limit)
    finally:
        relay.room.close_sessions()


def _entered(relay: RelayUnderTest, limit: TenantLimit) -> tuple[ProbeSession, Exchange | None]:
    """Return a session after hello and auth, and the exchange of the auth if it was refused for lack of room."""
    if session := relay.entered_at_once(limit.tenant):
        return session, None
    session = relay.greeted()
    exchange = relay.authenticate(session, limit.tenant)
    return session, exchange if _is_full(relay, exchange, limit) else None


def _tunnels(relay: RelayUnderTest, limit: TenantLimit) -> _Room:
    session, refused = _entered(relay, limit)
    if refused is not None:
        return 0, (refused,)
    if relay.facts.pipelines:
        found = session.ask_together([relay.tunnel_info(limit.tenant.id) for _ in range(limit.size)])
        opened = sum(map(judge.is_success, found.answers))
        if opened == limit.size or FULL in judge.error_codes(found.answers):
            return opened, (found,) * (opened < limit.size)
        raise Inconclusive(f"the control failed: {limit.size} {limit.name}: seen: {len(found.answers)} answers")
    for count in range(limit.size):
        exchange = session.ask(relay.tunnel_info(limit.tenant.id), fence=False)
        if _is_full(relay, exchange, limit):
            return count, (exchange,)
    return limit.size, ()


def _connections(relay: RelayUnderTest, limit: TenantLimit) -> _Room:
    def take() -> Exchange | None:
        session, refused = _entered(relay, limit)
        if refused is None and occupies(relay, limit.tenant):
            exchange = session.ask(relay.tunnel_info(limit.tenant.id), fence=False)
            refused = exchange if _is_full(relay, exchange, limit) else None
        return refused

    full = [exchange for exchange in at_once([take] * limit.size) if exchange is not None]
    return limit.size - len(full), tuple(full[:1])


def _is_full(relay: RelayUnderTest, exchange: Exchange, limit: TenantLimit) -> bool:
    """Whether the limit refused a request. A control: any other refusal is none of the limit's."""
    if judge.error_code(exchange) == FULL:
        return True
    with relay.control(f"{limit.size} {limit.name}"):
        judge.accepted(exchange)
    return False


def occupies(relay: RelayUnderTest, tenant: Tenant) -> bool:
    """Whether each connection of a tenant can open a tunnel: the page doesn't say at which step a connection counts."""
    pool = relay.profile.relay.buffer_pool
    return tenant.tunnel_limit is None and (pool is None or pool >= (tenant.connection_limit or 0))


def regained(relay: RelayUnderTest, limit: TenantLimit, wanted: int, pauses: tuple[float, ...] = ()) -> _Room:
    """Return the room as `room` does, as soon as it is `wanted`, and after all pauses in any case.

    Nothing is held during a pause: a relay that gives room back late would otherwise never have all of it.
    """
    ledger = relay.shared.ledger
    found: _Room = (0, ())
    for pause in [each for each in pauses or PAUSES if each >= ledger.pause] or [ledger.pause]:
        relay.room.close_sessions()
        if pause:
            relay.clock.sleep(pause)
        found = room(relay, limit)
        if found[0] >= wanted:
            ledger.pause = max(ledger.pause, pause)
            break
    ledger.whole[limit.name] = found[0]
    return found


def rooms(relay: RelayUnderTest, found: Sequence[TenantLimit]) -> dict[str, int]:
    """Return the room of limits of different tenants, by name; only what works.

    They are measured at the same time, unless a limit counts the connections of all tenants.
    """

    def measure(limit: TenantLimit) -> bool:
        elsewhere = RelayUnderTest(relay.shared, relay.facts, relay.case)  # `room` closes all sessions of its target
        with contextlib.suppress(Broken, Inconclusive, NotExercised, RateLimited, Unreachable, HandshakeFailure):
            measured[limit.name], _ = regained(elsewhere, limit, limit.size, _BRIEFLY)
        return elsewhere.transcript.is_large

    measured: dict[str, int] = {}
    if relay.room.is_narrow:
        for limit in found:
            measure(limit)
    else:
        for at in range(0, len(found), _MEASURED_TOGETHER):
            if any(at_once([partial(measure, limit) for limit in found[at : at + _MEASURED_TOGETHER]])):
                gc.collect()  # the memory of very large answers is needed again
    return measured


# ------------------------------------------------------------------ actions after which nothing may be held

_OVER_TUNNELS: Final = "a tunnel_info over the limit"
_OVER_CONNECTIONS: Final = "an auth over the limit"
# A relay that loses room for these has none soon: to measure what is left means to be refused.
_BY_THEMSELVES: Final = (_OVER_TUNNELS, _OVER_CONNECTIONS)

Action = Callable[[RelayUnderTest, Tenant], object]
Request = Callable[[RelayUnderTest, Tenant], Mapping[str, object]]


def _held(relay: RelayUnderTest, tenant: Tenant, transport: str = "") -> ProbeSession:
    session = relay.authenticated(tenant, transport=transport)
    if occupies(relay, tenant) or tenant.tunnel_limit is not None:
        relay.open_tunnel(session)
    return session


def _reset(relay: RelayUnderTest, tenant: Tenant) -> None:
    _held(relay, tenant).wire.reset()


def _cut(how: Literal["reset", "close"]) -> Action:
    def act(relay: RelayUnderTest, tenant: Tenant) -> None:
        session = _held(relay, tenant)
        session.announce(f"half a message, then a {how}")
        data = session.encode(b'{"type":"tunnel_info"}')
        session.send_unanswered(data[: len(data) // 2], cut=True)
        session.wire.reset() if how == "reset" else session.close()

    return act


def _dropped(relay: RelayUnderTest, tenant: Tenant) -> None:
    session = _held(relay, tenant)
    session.announce("the end of the TCP stream without close_notify")
    session.wire.tcp.finish()
    session.wire.close()


def _over_websocket(relay: RelayUnderTest, tenant: Tenant) -> None:
    relay.needs.websocket()
    _held(relay, tenant, "websocket").close()


def _second_auth(to: Literal["same", "other", "bad", "from"]) -> Action:
    def act(relay: RelayUnderTest, tenant: Tenant) -> None:
        other = next((each for each in (relay.tenant, relay.profile.second_tenant) if each and each != tenant), None)
        if other is None:
            raise NotExercised("give tenants (a second active one)")
        session = _held(relay, other if to == "from" else tenant)
        token = relay.tokens.spoiled(tenant) if to == "bad" else relay.tokens.valid(other if to == "other" else tenant)
        session.assume(authenticated=False, tenant="")  # the connection's tenant is unknown from here on
        session.ask({"type": "auth", "token": token})
        for name in (tenant.id, other.id):
            if not session.ended:
                session.ask(relay.tunnel_info(name))
        session.close()

    return act


def _refused(make: Request, why: str) -> Action:
    def act(relay: RelayUnderTest, tenant: Tenant) -> None:
        session = _held(relay, tenant)
        for _ in range(2):
            if not session.ended:
                judge.refused(session.ask(make(relay, tenant), invalid=why))
        session.close()

    return act


def _before_auth(relay: RelayUnderTest, tenant: Tenant) -> None:
    session = relay.greeted()
    judge.refused(session.ask(relay.tunnel_info(tenant.id)))
    if not session.ended:
        relay.authenticate(session, tenant)


def _tunnels_over_limit(relay: RelayUnderTest, tenant: Tenant) -> None:
    if tenant.tunnel_limit is None:
        raise NotExercised("give tenants.tunnel_limit")
    session = relay.authenticated(tenant)
    for _ in range(tenant.tunnel_limit + 1):
        if not session.ended:
            session.ask(relay.tunnel_info(tenant.id))
    session.close()


def _auths_over_limit(relay: RelayUnderTest, tenant: Tenant) -> None:
    if tenant.connection_limit is None:
        raise NotExercised("give tenants.connection_limit")
    for _ in range(tenant.connection_limit + 1):
        session = relay.greeted()
        if judge.served(relay.authenticate(session, tenant)) and occupies(relay, tenant):
            session.ask(relay.tunnel_info(tenant.id))


def _not_json(relay: RelayUnderTest, tenant: Tenant) -> None:
    _held(relay, tenant).ask_text(b'{"type":"heartbeat",}', meant="not JSON")


def _refused_auth(relay: RelayUnderTest, tenant: Tenant, *, then_valid: bool = False) -> None:
    relay.room.use(tenant)
    session = relay.greeted()
    judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(tenant)}))
    if then_valid and not session.ended:
        relay.authenticate(session, tenant)
    session.close()


def _repeated(*, later_first: bool | None = None) -> Action:
    def act(relay: RelayUnderTest, tenant: Tenant) -> None:
        request = relay.tunnel_info(tenant.id)
        first = relay.authenticated(tenant)
        second = first if later_first is None else relay.authenticated(tenant)
        for session in (first, second):
            session.ask(request)
        (second if later_first else first).close()

    return act


REFUSED_TUNNELS: Final[Mapping[str, tuple[Request, str]]] = {
    "to port 0": (lambda relay, tenant: relay.tunnel_info(tenant.id, remote_port=0), "remote_port is 0"),
    "without a remote_host": (
        lambda relay, tenant: without(relay.tunnel_info(tenant.id), "remote_host"),
        "remote_host is missing",
    ),
    "with a number as tunnel_id": (lambda relay, tenant: relay.tunnel_info(tenant.id, tunnel_id=7), "a number"),
    "for another tenant": (lambda relay, tenant: relay.tunnel_info(f"{tenant.id}-foreign"), ""),
}
"""Requests for tunnels that every relay refuses after auth, each with its mistake."""

ACTIONS: Final[Mapping[str, Mapping[str, Action]]] = {
    _CLOSE: {
        "a close": lambda relay, tenant: _held(relay, tenant).close(),
        "a close without a tunnel": lambda relay, tenant: relay.authenticated(tenant).close(),
        "the close of a WebSocket": _over_websocket,
    },
    "CB-LIM-007": {
        "a reset": _reset,
        **{f"a {how} within a message": _cut(how) for how in ("reset", "close")},
        "an end without close_notify": _dropped,
    },
    "CB-LIM-003": {
        **{f"a tunnel_info {name}": _refused(*refused) for name, refused in REFUSED_TUNNELS.items()},
        "a tunnel_info before auth": _before_auth,
        _OVER_TUNNELS: _tunnels_over_limit,
    },
    "CB-LIM-008": {
        "a second auth as the same tenant": _second_auth("same"),
        "a second auth as another tenant": _second_auth("other"),
        "a second auth with a bad token": _second_auth("bad"),
        "an auth as another tenant first": _second_auth("from"),
    },
    "CB-LIM-009": {
        "a message of unknown type": _refused(lambda relay, tenant: {"type": "cbspec_unknown"}, "of unknown type"),
        "a text that isn't JSON": _not_json,
        "a second hello": lambda relay, tenant: _held(relay, tenant).ask({**relay.request("hello")}, fence=False),
    },
    "CB-LIM-010": {
        "a refused auth": _refused_auth,
        "a refused auth before a good one": lambda relay, tenant: _refused_auth(relay, tenant, then_valid=True),
        _OVER_CONNECTIONS: _auths_over_limit,
    },
    "CB-LIM-015": {
        "a tunnel_id twice on one connection": _repeated(),
        "a tunnel_id on two connections": _repeated(later_first=False),
        "a tunnel_id on two connections, the later closed first": _repeated(later_first=True),
    },
}
"""For each requirement, the actions after which a tenant must have all its room again once its connections ended."""


# ------------------------------------------------------------------ losses and their causes


def keeps_room(relay: RelayUnderTest, requirement: str, keys: Sequence[LimitKey] = _KEYS) -> None:
    """Check that none of a requirement's actions loses room of the case's tenants. Raises Broken and names the action.

    A control: a close in order loses none, and the relay gives room back in time.
    """
    ledger, found = relay.shared.ledger, tenants_limits(relay, keys)
    relay.needs.served("tunnel_info")  # each attempt could cost a time-out
    if not found:
        raise NotExercised("give tenants.tunnel_limit or tenants.connection_limit (for a tenant of its own)")
    for limit in found:
        before: _Room | None = None
        if requirement != _CLOSE and f"{_CLOSE} {limit.name}" not in ledger.cleared:
            if _CLOSE in ledger.lost:
                raise Inconclusive(f"{ledger.lost[_CLOSE]} (see {_CLOSE})")
            # A limit that has all its room has lost none by the close of its connections in the preflight.
            before = regained(relay, limit, limit.size, _SHORT)
            if not before[0] == limit.size == relay.facts.room.get(limit.name):
                before = None
                with relay.control("room after a close"):
                    _check(relay, _CLOSE, limit)
        if requirement != _CLOSE and ledger.pause > relay.tempo.most:
            raise NotExercised("the relay gives room back so late that proving a loss would take minutes")
        _check(relay, requirement, limit, before)


def _check(relay: RelayUnderTest, requirement: str, limit: TenantLimit, measured: _Room | None = None) -> None:
    """Check that a requirement's actions lose no room of a limit, which was `measured` just now (None: it was not)."""
    ledger = relay.shared.ledger
    pauses = _SHORT if requirement in ledger.lost else PAUSES
    cleared = f"{requirement} {limit.name}" in ledger.cleared
    if (cleared or ledger.lost) and ledger.whole.get(limit.name) == 0:  # it was waited for
        raise Inconclusive(f"the relay has no room left for {limit.name}")
    wanted = ledger.whole.get(limit.name, relay.facts.room.get(limit.name, limit.size))
    before, refusal = measured or regained(relay, limit, wanted)
    if not before:
        began = relay.facts.room.get(limit.name, 0)
        if requirement != _CLOSE or cleared or ledger.lost or not began:
            raise Inconclusive(f"the relay has no room left for {limit.name}")
        # Nothing can be tried any more. To measure the room is to close connections in order.
        ledger.add(_CLOSE, f"the relay loses {limit.name}: a close")
        seen = f"room for 0, {sum(PAUSES):.0f} s after the last connection closed"
        raise Broken(f"room for {began} {limit.name}, as at the beginning of the run", seen, *refusal)
    actions = ACTIONS[requirement]
    for names in (actions.keys() - _BY_THEMSELVES, actions.keys() & _BY_THEMSELVES):
        done = {name: actions[name] for name in actions if name in names and _act(relay, limit, actions[name])}
        after, refusal = regained(relay, limit, before, pauses) if done else (before, ())
        if after < before:
            break
    else:
        ledger.cleared.add(f"{requirement} {limit.name}")
        return
    cause = next((name for name, action in done.items() if _loses(relay, limit, action)), "")
    if not cause and ledger.whole[limit.name]:
        raise Inconclusive(f"the relay has lost {limit.name} in this case, but not again by the same actions")
    cause = cause or " or ".join(done)
    seen = f"room for {after}, {sum(pauses):.0f} s after they ended; lost by {cause}"
    ledger.add(requirement, f"the relay loses {limit.name}: {cause}")
    raise Broken(f"room for {before} {limit.name}, as before, once its connections ended", seen, *refusal)


def _act(relay: RelayUnderTest, limit: TenantLimit, action: Action) -> bool:
    """Perform an action and end its connections; return whether it was possible."""
    try:
        action(relay, limit.tenant)
    except (NotExercised, Broken, Inconclusive):
        return False
    finally:
        relay.room.close_sessions()
    return True


def _loses(relay: RelayUnderTest, limit: TenantLimit, action: Action) -> bool:
    before = relay.shared.ledger.whole[limit.name]
    return bool(before) and _act(relay, limit, action) and regained(relay, limit, before, _SHORT)[0] < before


def explained(relay: RelayUnderTest, error: Exception, identifier: str) -> Exception:
    """Return an error that ended a case, or if a tenant lacks room for it, Inconclusive with the cause.

    The requirement of the cause is blamed by a case of its own, or here.
    """
    if not _lacks_room(error, identifier):
        return error
    relay.close()
    ledger = relay.shared.ledger
    if not ledger.lost and not ledger.searched:
        if relay.room.shared:
            raise NeedsAlone("the search for a loss of room")
        ledger.searched = True
        with contextlib.suppress(Inconclusive, NotExercised, RateLimited, Unreachable, HandshakeFailure, Broken):
            _search(relay)
    if cause := next(iter(ledger.lost), ""):
        return error if cause == identifier else Inconclusive(f"{ledger.lost[cause]} (see {cause})")
    if ledger.pause > relay.tempo.most and identifier not in _SOON:
        return Inconclusive(f"the relay gives room back more than {relay.tempo.most:.0f} s after a close ({_SOON[0]})")
    began = [limit for limit in tenants_limits(relay) if relay.facts.room.get(limit.name, limit.size) < limit.size]
    if isinstance(error, Broken) and began:
        error.seen += f"; at the beginning of the run there was room for {relay.facts.room[began[0].name]}"
        error.seen += f" of {began[0].size} {began[0].name}"
    return error


def _lacks_room(error: Exception, identifier: str) -> bool:
    if isinstance(error, Broken):
        refused = error.unserved and any(judge.error_code(exchange) == FULL for exchange in error.exchanges)
        return bool(refused) or (error.requirement or identifier) in _ROWS
    return isinstance(error, NoRoom)


def _search(relay: RelayUnderTest) -> None:
    """Find an action that loses room, and blame its requirement, or else the rule that no room may be lost."""
    for requirement in ACTIONS:
        try:
            keeps_room(relay, requirement)
        except Broken as broken:
            relay.log.breach(Breach(requirement, broken.expected, broken.seen), *broken.exchanges)
            return
        except (NotExercised, Inconclusive):
            continue
    whole_at_the_end(relay)


def whole_at_the_end(relay: RelayUnderTest) -> None:
    """Check that every limit has the room that it had at the beginning of the run, and log a breach otherwise."""
    ledger = relay.shared.ledger
    if cause := next((each for each in ledger.lost if each != AT_THE_END), ""):
        raise Inconclusive(f"{ledger.lost[cause]} (see {cause})")
    found = [limit for limit in tenants_limits(relay, each=True) if limit.name in relay.facts.room]
    if rooms(relay, found).items() >= relay.facts.room.items():
        return
    for limit in found:
        began = relay.facts.room[limit.name]
        now, refusal = regained(relay, limit, began)
        if now < began:
            seen = f"room for {now}, {sum(PAUSES):.0f} s after the last of them ended"
            ledger.add(AT_THE_END, f"the relay loses {limit.name} in the course of the run")
            relay.log.breach(Breach(AT_THE_END, f"room for {began} {limit.name}, as at the beginning", seen), *refusal)
