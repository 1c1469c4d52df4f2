"""Limits of tunnels, connections and buffers, and availability: who is counted, when a limit is checked and ends."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

from cbspec.profile.target import Rate, Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import RequestRefused
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import Auth, TunnelInfo
from cbspec.tokens.jws import CompactJws
from cbspec_simulator.base.limits import Account, UsageCounters
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import (
    BUFFERS,
    RELAY_CONNECTIONS,
    TENANT_CONNECTIONS,
    TENANT_TUNNELS,
    Check,
    IoRequest,
    Quota,
    Step,
    available,
    new_tunnel,
)
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.answers import answers
from cbspec_simulator.variations.changes.order import SECOND_AUTH_TAKES_OVER
from cbspec_simulator.variations.changes.writing import MALFORMED
from cbspec_simulator.variations.parts import Change, both, framed, notes, part
from cbspec_simulator.variations.steps import (
    added,
    by_connection,
    by_subject,
    checking,
    each_step,
    moved,
    quota,
    refusals,
    refused_as,
    tunnel_request,
    watching,
    without,
)

_TUNNELS, _CONNECTIONS = TENANT_TUNNELS.name, TENANT_CONNECTIONS.name
_RELAY, _BUFFERS = RELAY_CONNECTIONS.name, BUFFERS.name
_INVALID, _FULL = ErrorCode.INVALID_TUNNEL_INFO, ErrorCode.TENANT_LIMIT_EXCEEDED
_POOL = Account(_BUFFERS, None)
_AT_ONCE = 0.01  # seconds
_TCP_ONLY = part(is_websocket=lambda _: False)


def _shared(name: str, limit_of: str) -> Change:
    """Refuse every tenant while any tenant is at its limit."""

    def full(attempt: Attempt) -> None:
        for tenant in attempt.relay.tenants.values():
            most = getattr(tenant, limit_of)
            if most is not None and attempt.relay.usage.used(Account(name, tenant.id)) >= most:
                raise Refused(ErrorCode.TENANT_LIMIT_EXCEEDED, "the limit is reached")

    return each_step(name, lambda step: (Step(f"{name}-of-all", full, step.when), step))


def _on_refusal(act: Callable[[Attempt, str], object], *codes: ErrorCode) -> Change:
    """Call a function with the attempt and its tenant after each refusal with one of these codes."""

    def refused(attempt: Attempt, refusal: Refused) -> None:
        if refusal.code in codes and attempt.identity is not None:
            act(attempt, attempt.identity.tenant.id)

    return part(refused=refused)


def _hold(attempt: Attempt, account: Account) -> None:
    attempt.relay.usage.take(account, None)
    attempt.connection.held.append(account)


def _counted(attempt: Attempt, tenant: str) -> None:
    """Count a tunnel although it was refused."""
    if attempt.request is None or isinstance(attempt.request, TunnelInfo):
        _hold(attempt, Account(_TUNNELS, tenant))


def _counted_for_the_named(attempt: Attempt, tenant: str) -> None:
    """Count a refused tunnel for the tenant that it names."""
    if isinstance(attempt.request, TunnelInfo) and attempt.request.tenant_id != tenant:
        _hold(attempt, Account(_TUNNELS, attempt.request.tenant_id))


def _uncounted(attempt: Attempt, tenant: str) -> None:
    """Stop counting a connection whose tunnel was refused."""
    account = Account(_CONNECTIONS, tenant)
    if attempt.relay.usage.used(account):
        attempt.relay.usage.give(account)


def _refused_auths_count(attempt: Attempt, refused: Refused, code: ErrorCode = ErrorCode.INVALID_TOKEN) -> None:
    """Count the connection of a refused auth for the tenant that its token names."""
    if not isinstance(attempt.request, Auth) or refused.code is not code:
        return
    try:
        tenant = CompactJws.split(attempt.request.token).claims.get("tenant_id")
    except ValueError:
        return
    _hold(attempt, Account(_CONNECTIONS, tenant if isinstance(tenant, str) else ""))


_refused_once = notes()


def _once(inner: Check, attempt: Attempt) -> IoRequest | None:
    """Refuse each connection only once."""
    refused = _refused_once(attempt.relay)
    try:
        return inner(attempt)
    except Refused:
        if attempt.connection.number in refused:
            return None
        refused[attempt.connection.number] = True
        raise


def _checked_first(name: str, within: float) -> Change:
    """Check requests that are less than `within` seconds apart against the count before the first of them."""
    checks = notes()

    def check(inner: Quota, attempt: Attempt) -> None:
        account, found = Account(name, inner.holder(attempt)), checks(attempt.relay)
        usage, limit, now = attempt.relay.usage, inner.limit(attempt), attempt.now.monotonic
        if account not in found or now - found[account][0] >= within:
            found[account] = now, usage.used(account)
        if limit is not None and found[account][1] >= limit:
            raise Refused(inner.code, inner.text, close=inner.close)
        usage.take(account, None)
        attempt.held.append(account)

    return watching(name, lambda inner: lambda attempt: check(inner, attempt))


def _freed(name: str) -> Change:
    """Empty an account when any connection of a tenant ends, except for one connection.

    The account of a tenant is emptied by that tenant's connections only.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        counters: set[UsageCounters] = set()

        def seen(inner: Check, attempt: Attempt) -> IoRequest | None:
            counters.add(attempt.relay.usage)
            return inner(attempt)

        def releases(account: Account) -> bool:
            if account.name == _CONNECTIONS:
                freed = Account(name, account.holder if name != _BUFFERS else None)
                for usage in counters:
                    while usage.used(freed) > (name == _CONNECTIONS):
                        usage.give(freed)
            return behaviour.releases(account)

        return checking(name, seen)(replace(behaviour, releases=releases))

    return change


def _loses_cut_off(behaviour: Behaviour) -> Behaviour:
    """Release nothing if the plain stream that ended last ended within a message."""
    within: list[bool] = []

    class Framer(StreamFramer):
        @property
        def pending(self) -> bytes:
            within[:] = [bool(self._buffer.strip())]
            return super().pending

    return both(framed(Framer), part(releases=lambda _: within != [True]))(behaviour)


_served_anyway = notes()


def _not_refused(inner: Check, attempt: Attempt) -> None:
    try:
        inner(attempt)
    except Refused:
        _served_anyway(attempt.relay)[attempt.connection.number] = True


def _told(body: Body, exchange: AnswerContext) -> Body:
    """Send the error of a refused connection that is served nevertheless."""
    error = {"type": "error", "code": "connection_limit_reached", "message": "the relay is full"}
    return error if exchange.connection.number in _served_anyway(exchange.connection.relay) else body


def _limit_first(quota: Quota, tenant: Callable[[Attempt], Hashable]) -> Change:
    """Check a limit before the tunnel_info itself; `tenant` returns the holder of its account."""

    def refuse(attempt: Attempt, event: RequestRefused) -> Refused | None:
        if attempt.identity is None or event.code is not _INVALID:
            return None
        most = quota.limit(attempt)
        full = most is not None and attempt.relay.usage.used(Account(quota.name, tenant(attempt))) >= most
        return Refused(quota.code, quota.text) if full else None

    return refusals(refuse)


def _first_tunnel(attempt: Attempt) -> bool:
    return not attempt.connection.tunnels


def _at_opening(step: Step) -> Change:
    """Take a step before the first request."""
    return lambda behaviour: replace(behaviour, welcome=(*behaviour.welcome, step))


def _tenant(attempt: Attempt) -> str:
    return attempt.known.tenant.id


def _transport(attempt: Attempt) -> Hashable:
    return _tenant(attempt), attempt.connection.transport


def _address(attempt: Attempt) -> Hashable:
    return _tenant(attempt), attempt.connection.address


def _lost(attempt: Attempt, *names: str) -> None:
    """Lose a unit of accounts of the attempt's tenant for ever."""
    if attempt.identity is not None:
        for name in names:
            attempt.relay.usage.take(Account(name, attempt.identity.tenant.id), None)


def _loses_the_first(attempt: Attempt) -> None:
    """Keep the tunnels of a connection counted for ever after a second auth."""
    if attempt.connection.identity is not None:
        attempt.connection.held[:] = [account for account in attempt.connection.held if account.name != _TUNNELS]


def _loses_refused_auth(code: ErrorCode, attempt: Attempt, refused: Refused) -> None:
    before = len(attempt.connection.held)
    _refused_auths_count(attempt, refused, code)
    del attempt.connection.held[before:]


def _loses_tunnel(attempt: Attempt, _: str) -> None:
    if isinstance(attempt.request, TunnelInfo):
        _lost(attempt, _TUNNELS)


def _loses_repeated(attempt: Attempt) -> None:
    if not new_tunnel(attempt):
        _lost(attempt, _TUNNELS)


_auths = notes()


def _loses_sixteenth(attempt: Attempt) -> None:
    counted = _auths(attempt.relay)
    counted[attempt.known.tenant.id] = number = counted.get(attempt.known.tenant.id, 0) + 1
    if number % 16 == 0:
        _lost(attempt, _TUNNELS, _CONNECTIONS)


_early_tunnels = notes()


def _notes_early(attempt: Attempt, refused: Refused) -> None:
    # Out of order, a request reaches no step: its refusal carries none.
    if attempt.request is None and attempt.identity is None and refused.code is ErrorCode.INVALID_TOKEN:
        _early_tunnels(attempt.relay)[attempt.connection.number] = True


def _counts_early(attempt: Attempt) -> None:
    if _early_tunnels(attempt.relay).pop(attempt.connection.number, False):
        _hold(attempt, Account(_TUNNELS, _tenant(attempt)))


_holders_of_ids = notes()


def _by_id(inner: Quota, attempt: Attempt) -> None:
    """Count tunnel_ids; one is forgotten when any connection that uses it has ended."""
    ids = _holders_of_ids(attempt.relay).setdefault(_tenant(attempt), {})
    for name, holders in list(ids.items()):
        if not holders <= attempt.relay.connections:
            del ids[name]
    name, most = tunnel_request(attempt).tunnel_id, inner.limit(attempt)
    if most is not None and name not in ids and len(ids) >= most:
        raise Refused(inner.code, inner.text)
    ids.setdefault(name, set()).add(attempt.connection)


_LATE = part(notices_after=8.0)
_LIMIT_AT_OPENING = both(without(_RELAY), _at_opening(Step(_RELAY, RELAY_CONNECTIONS)))
_AVAILABLE_AT_OPENING = _at_opening(Step("available", available))
_TUNNELS_FIRST, _BUFFERS_FIRST = _limit_first(TENANT_TUNNELS, _tenant), _limit_first(BUFFERS, lambda _: None)
_MALFORMED_AS = (code for code in ErrorCode if code is not ErrorCode.UNKNOWN_MESSAGE_TYPE)

CHANGES: dict[str, Change] = {
    "tunnel-limit-per-port": quota(
        _TUNNELS, holder=lambda attempt: (attempt.known.tenant.id, tunnel_request(attempt).local_port)
    ),
    "tunnels-refused-count-for-the-named-tenant": _on_refusal(_counted_for_the_named, ErrorCode.TENANT_NOT_FOUND),
    "tunnels-given-back-late": _LATE,
    "tenant-connections-given-back-late": _LATE,
    "tunnels-refused-for-rate-count": _on_refusal(_counted, ErrorCode.RATE_LIMIT_EXCEEDED),
    "tunnel-before-auth-counts": both(part(refused=_notes_early), added(Auth, Step("early-tunnels", _counts_early))),
    "second-auth-loses-tunnels": both(SECOND_AUTH_TAKES_OVER, added(Auth, Step("second-auth", _loses_the_first))),
    "ended-within-a-message-loses-room": _loses_cut_off,
    "unknown-type-loses-room": _on_refusal(
        lambda attempt, _: _lost(attempt, _TUNNELS, _CONNECTIONS), ErrorCode.UNKNOWN_MESSAGE_TYPE
    ),
    "refused-auth-loses-a-connection": part(refused=partial(_loses_refused_auth, ErrorCode.INVALID_TOKEN)),
    "auth-over-limit-loses-a-connection": part(refused=partial(_loses_refused_auth, _FULL)),
    "tunnel-over-limit-loses-a-tunnel": _on_refusal(_loses_tunnel, _FULL),
    "repeated-tunnel-id-loses-a-tunnel": added(TunnelInfo, Step("repeated-id", _loses_repeated)),
    "tunnels-counted-by-id": watching(_TUNNELS, lambda inner: partial(_by_id, inner)),
    "sixteenth-auth-loses-room": added(Auth, Step("sixteenth", _loses_sixteenth)),
    "tunnel-limit-looked-at-first": _checked_first(_TUNNELS, 2 * _AT_ONCE),
    "tunnel-limit-counts-refused": _on_refusal(_counted, _INVALID, ErrorCode.TENANT_NOT_FOUND),
    "tunnel-limit-counts-failed-transfers": _on_refusal(_counted, ErrorCode.DATA_TRANSFER_FAILED),
    "tunnel-limit-shared": _shared(_TUNNELS, "tunnel_limit"),
    "tunnel-limit-counts-others": quota(_TUNNELS, holder=lambda _: None),
    "tunnel-limit-per-connection": quota(_TUNNELS, holder=by_connection),
    "tunnel-limit-per-subject": quota(_TUNNELS, holder=by_subject),
    "tunnel-limit-per-transport": quota(_TUNNELS, holder=_transport),
    "tunnel-limit-per-address": quota(_TUNNELS, holder=_address),
    "tunnel-limit-freed-by-any-close": _freed(_TUNNELS),
    "tunnel-id-twice-counts-twice": each_step(_TUNNELS, lambda step: (replace(step, when=None),)),
    "tunnel-limit-before-validation": _TUNNELS_FIRST,
    "tenant-connections-per-subject": quota(_CONNECTIONS, holder=by_subject),
    "tenant-connections-per-transport": quota(_CONNECTIONS, holder=_transport),
    "tenant-connections-per-address": quota(_CONNECTIONS, holder=_address),
    "tenant-connections-looked-at-first": _checked_first(_CONNECTIONS, _AT_ONCE),
    "tenant-connections-freed-by-any-close": _freed(_CONNECTIONS),
    "tenant-connections-freed-by-refusal": _on_refusal(_uncounted, _INVALID),
    "tenant-connections-freed-by-bad-auth": _on_refusal(_uncounted, ErrorCode.INVALID_TOKEN),
    "tenant-connections-shared": _shared(_CONNECTIONS, "connection_limit"),
    "tenant-connections-count-others": quota(_CONNECTIONS, holder=lambda _: None),
    "second-hello-counts": each_step(_RELAY, lambda step: (Step(step.name, step.check),)),
    "relay-connections-told-and-served": both(checking(_RELAY, _not_refused), answers("hello_response", _told)),
    "buffer-pool-counts-refused": _on_refusal(lambda attempt, _: attempt.relay.usage.take(_POOL, None), _INVALID),
    "buffer-pool-once": checking(_BUFFERS, _once),
    "buffer-pool-per-connection": quota(_BUFFERS, holder=lambda attempt: attempt.connection.number),
    "buffer-pool-per-tenant": quota(_BUFFERS, holder=_tenant),
    "buffer-pool-freed-by-any-close": _freed(_BUFFERS),
    "pool-before-validation": _BUFFERS_FIRST,
    "refused-auths-count": part(refused=_refused_auths_count),
    **{f"malformed-as-{code.value.replace('_', '-')}": refused_as(code, *MALFORMED) for code in _MALFORMED_AS},
    "address-at-tunnel": moved("allowed-address", TunnelInfo),
    "tenant-connections-at-tunnel": moved(_CONNECTIONS, TunnelInfo, _first_tunnel),
    "connection-limit-at-opening": _LIMIT_AT_OPENING,
    "connection-limit-at-auth": moved(_RELAY, Auth),
    "connection-limit-at-tunnel": moved(_RELAY, TunnelInfo, _first_tunnel),
    "unavailable-at-opening": _AVAILABLE_AT_OPENING,
    "unavailable-at-auth": moved("available", Auth, first=True),
    "unavailable-at-tunnel": moved("available", TunnelInfo, first=True),
    "limits-before-validation": both(_BUFFERS_FIRST, _TUNNELS_FIRST),
    "limits-before-tenant": both(
        moved(_BUFFERS, TunnelInfo, new_tunnel, first=True), moved(_TUNNELS, TunnelInfo, new_tunnel, first=True)
    ),
    "pool-before-tenant-limit": moved(_TUNNELS, TunnelInfo, new_tunnel),
    "connection-limit-at-accept": both(_TCP_ONLY, _LIMIT_AT_OPENING),
    "unavailable-at-accept": both(_TCP_ONLY, _AVAILABLE_AT_OPENING),
}

_BOTH = Tenant("tenant-tunnels-and-rate", tunnel_limit=5, rate=Rate(per_second=150.0, burst=20, scope="tenant"))

ARRANGED: dict[str, Callable[[Config], Config]] = {
    "tunnels-refused-for-rate-count": lambda config: replace(config, tenants=(*config.tenants, _BOTH)),
}
