"""Order of messages: hello, auth and heartbeat, their answers, and messages out of order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import (
    Auth,
    AuthResponse,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    TunnelInfo,
    TunnelResponse,
)
from cbspec.protocol.state import Refuse, Serve, State
from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.base.state import Attempt, ConnectionState, Identity, Refused
from cbspec_simulator.base.steps import Check, IoRequest, Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body, identity_before_auth
from cbspec_simulator.variations.answers import answers, closes_after, instead, mapped, put, request_is, unanswered
from cbspec_simulator.variations.parts import Change, around, both, layered, notes, part
from cbspec_simulator.variations.requests import accepts, of_type
from cbspec_simulator.variations.steps import added, check, checking, named_tenant, refusals, rule, tunnel_request

_C, _G, _A = State.CONNECTED, State.GREETED, State.AUTHENTICATED
_UNKNOWN, _TOKEN = ErrorCode.UNKNOWN_MESSAGE_TYPE, ErrorCode.INVALID_TOKEN
SECOND_AUTH_TAKES_OVER = rule(_A, Auth, Serve(AuthResponse, _A, "CB-AUT-001"))
_NO_SECOND = Refuse(_UNKNOWN, "CB-HEL-101", "hello was sent already")


def served_in(state: State, identity: Callable[[Attempt], Identity] = named_tenant) -> Change:
    """Serve a tunnel_info in a state before auth, for the identity that a function returns."""
    serve = Serve(TunnelResponse, state, "CB-TUN-001")
    return both(rule(state, TunnelInfo, serve), part(identity_before_auth=identity))


def _hello_refused(when: Callable[[AnswerContext, tuple[str, ...]], bool]) -> Change:
    """Refuse a hello if `when` is true of it and its features."""
    refused = instead(type="error", code="unknown_message_type", message="not now")
    return answers(
        "hello_response",
        refused,
        lambda exchange: isinstance(exchange.request, Hello) and when(exchange, exchange.request.features),
    )


def _beat_unanswered(when: Callable[[AnswerContext], object]) -> Change:
    return unanswered("heartbeat_response", lambda exchange: bool(when(exchange)))


def _others_are_newer(exchange: AnswerContext) -> bool:
    session = exchange.connection
    return any(other.number > session.number and other.identity for other in session.relay.connections)


_held = notes()


def _seventh_held(before: Callable[..., list[Body]], body: Body, exchange: AnswerContext) -> list[Body]:
    """Send every seventh heartbeat_response with the next answer."""
    held, number = _held(exchange.connection.relay), exchange.connection.number
    found = [*filter(None, [held.pop(number, None)]), *before(body, exchange)]
    if body["type"] == "heartbeat_response" and exchange.nth % 7 == 0:
        held[number] = found.pop()
    return found


def other_tenant(exchange: AnswerContext) -> str:
    """Return a tenant other than that of the connection."""
    identity = exchange.connection.identity
    own = identity.tenant.id if identity else ""
    return next((id_ for id_ in exchange.connection.relay.tenants if id_ != own), f"{own}-other")


_last = notes()


def _previous_tenant(body: Body, exchange: AnswerContext) -> Body:
    """Send the tenant of the previous auth."""
    last, own = _last(exchange.connection.relay), body["tenant_id"]
    previous, last["tenant"] = last.get("tenant", own), own
    return {**body, "tenant_id": previous}


def _authenticating(when: Callable[[Attempt, Refused], object]) -> Change:
    """Authenticate a connection whose request is refused, if `when` is true of it and the refusal."""

    def refused(attempt: Attempt, refusal: Refused) -> None:
        if when(attempt, refusal):
            attempt.connection.protocol.state = _A

    return part(refused=refused, identity_before_auth=named_tenant)


def _drops_identity(attempt: Attempt, refused: Refused) -> None:
    """Drop the identity of a connection with an error; a rate limit only delays a client."""
    if refused.code is not ErrorCode.RATE_LIMIT_EXCEEDED and attempt.connection.identity is not None:
        attempt.connection.identity, attempt.connection.protocol.state = None, _G


def _expired(attempt: Attempt, refused: Refused) -> bool:
    return refused.code is _TOKEN and not attempt.connection.identity and "expired" in refused.text


def _any_identity(attempt: Attempt) -> Identity:
    """Return the identity of any open connection."""
    known = [session.identity for session in attempt.relay.connections if session.identity is not None]
    if not known:
        raise Refused(_TOKEN, "authenticate first")
    return known[0]


_subjects = notes()


def _with_subject(attempt: Attempt) -> set[ConnectionState]:
    """Return the authenticated connections of a subject: none after one of them has ended."""
    members: set[ConnectionState] = _subjects(attempt.relay).setdefault(attempt.known.subject, set())
    if not members <= attempt.relay.connections:
        members.clear()
    return members


def _known_subject(attempt: Attempt) -> None:
    if attempt.connection not in _with_subject(attempt):
        raise Refused(_TOKEN, "authenticate first")


def _tenant_of_newest(attempt: Attempt) -> None:
    known = [session for session in attempt.relay.connections if session.identity]
    newest = max(known, key=lambda session: session.number, default=attempt.connection)
    if newest.identity and tunnel_request(attempt).tenant_id != newest.identity.tenant.id:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the token")


def _if_resumed(change: Callable[[Callable[[], bool]], Change]) -> Change:
    """Return a change by a function that says whether the data that is read came on a resumed session."""

    def changed(behaviour: Behaviour) -> Behaviour:
        reading = [False]

        class RememberingLayer(TlsLayer):
            __slots__ = ()

            def receive_data(self, data: bytes) -> bytes:
                plain = super().receive_data(data)
                reading[:] = [bool(self.ssl_object.session_reused)]
                return plain

        return both(layered(RememberingLayer), change(lambda: reading[0]))(behaviour)

    return changed


def _known(resumed: Callable[[], bool]) -> Change:
    """Require no auth."""

    def identity(attempt: Attempt) -> Identity:
        return named_tenant(attempt) if resumed() else identity_before_auth(attempt)

    return served_in(_G, identity)


def _any_tenant(resumed: Callable[[], bool]) -> Change:
    """Don't compare a tunnel's tenant with that of the token."""

    def own_tenant(inner: Check, attempt: Attempt) -> IoRequest | None:
        return None if resumed() else inner(attempt)

    return checking("own-tenant", own_tenant)


def _version_1_0(attempt: Attempt) -> None:
    """Refuse a hello of another version."""
    if isinstance(attempt.request, Hello) and attempt.request.version != "1.0":
        raise Refused(_UNKNOWN, "only version 1.0 is supported")


def _requested_version(exchange: AnswerContext) -> object:
    return exchange.request.version if isinstance(exchange.request, Hello) else "1.0"


def _in_common(body: Body, exchange: AnswerContext) -> Body:
    listed = exchange.request.features if isinstance(exchange.request, Hello) else ()
    return {**body, "features": [feature for feature in body["features"] if feature in listed]}


def _second_auth(exchange: AnswerContext) -> bool:
    # The request of a refused token is valid, so it is known. A second auth is refused by the table.
    return exchange.request is None and exchange.requirement == "CB-AUT-001"


def _unknown_type_early(attempt: Attempt, event: Any) -> Refused | None:  # noqa: ANN401 - a RequestRefused
    early = attempt.connection.admitted and attempt.identity is None and event.requirement == "CB-UNK-001"
    return Refused(_TOKEN, "authenticate first") if early else None


CHANGES: dict[str, Change] = {
    "hello-every-second-refused": _hello_refused(lambda exchange, _: exchange.connection.number % 2 == 0),
    "hello-features-text": answers("hello_response", mapped("features", ",".join)),
    "hello-features-number-inside": answers("hello_response", mapped("features", lambda names: [*names, 2])),
    "hello-with-text-features-accepted": accepts("hello", "features", of_type(str), lambda text: text.split(",")),
    "hello-features-mixed-accepted": accepts(
        "hello", "features", lambda value: isinstance(value, list) and 1 in value, []
    ),
    "auth-before-hello-accepted": rule(_C, Auth, Serve(AuthResponse, _A, "CB-AUT-001")),
    "heartbeat-before-hello-answered": rule(_C, Heartbeat, Serve(HeartbeatResponse, _C, "CB-HBT-001")),
    "hello-with-three-features-refused": _hello_refused(lambda _, features: not {*Hello().features} <= {*features}),
    "hello-without-any-feature-refused": _hello_refused(lambda _, features: not features),
    "auth-tenant-of-another": answers("auth_response", put("tenant_id", other_tenant)),
    "auth-tenant-of-the-one-before": answers("auth_response", _previous_tenant),
    "array-of-token-accepted": accepts(
        "auth",
        "token",
        lambda value: isinstance(value, list) and len(value) == 1 and isinstance(value[0], str),
        lambda value: value[0],
    ),
    "refused-but-authenticated": _authenticating(lambda attempt, _: isinstance(attempt.request, Auth)),
    "address-refused-but-authenticated": _authenticating(lambda _, refusal: refusal.code is ErrorCode.IP_NOT_ALLOWED),
    "tenant-refused-but-authenticated": _authenticating(lambda _, refusal: refusal.code is ErrorCode.TENANT_NOT_FOUND),
    "auth-tenant-in-capitals": answers("auth_response", mapped("tenant_id", str.upper)),
    "expired-but-authenticated": _authenticating(_expired),
    "auth-leaks": served_in(_G, _any_identity),
    "identity-of-the-newest": check("own-tenant", _tenant_of_newest),
    "resumed-session-authenticated": _if_resumed(_known),
    "resumed-session-any-tenant": _if_resumed(_any_tenant),
    "heartbeat-every-seventh-lost": _beat_unanswered(lambda exchange: exchange.nth % 7 == 0),
    "heartbeat-every-seventh-held-back": around("answers", _seventh_held),
    "heartbeat-with-tunnel-unanswered": _beat_unanswered(lambda exchange: exchange.connection.tunnels),
    "heartbeat-after-error-unanswered": _beat_unanswered(lambda exchange: exchange.connection.sent["error"]),
    "heartbeat-of-the-newest-only": _beat_unanswered(_others_are_newer),
    "second-hello-refused": both(rule(_G, Hello, _NO_SECOND), rule(_A, Hello, _NO_SECOND)),
    "second-hello-forgets-auth": rule(_A, Hello, Serve(HelloResponse, _G, "CB-HEL-001")),
    "version-echoed": answers("hello_response", put("version", _requested_version)),
    "other-versions-refused": added(Hello, Step("version", _version_1_0), first=True),
    "tunnel-before-hello-as-unknown-message-type": rule(
        _C, TunnelInfo, Refuse(_UNKNOWN, "CB-HEL-007", "send hello first")
    ),
    "heartbeat-before-hello-served": rule(_C, Heartbeat, Serve(HeartbeatResponse, _C, "CB-HBT-001")),
    "features-in-common": answers("hello_response", _in_common),
    "client-id-with-tenant": answers(
        "auth_response", lambda body, _: {**body, "client_id": f"{body['tenant_id']}/{body['client_id']}"}
    ),
    "identity-of-the-subject": both(
        added(Auth, Step("joins-subject", lambda attempt: _with_subject(attempt).add(attempt.connection))),
        added(TunnelInfo, Step("known-subject", _known_subject), first=True),
    ),
    "second-auth-takes-over": SECOND_AUTH_TAKES_OVER,
    "second-auth-closes": closes_after(_second_auth),
    "heartbeat-before-auth-served": rule(_G, Heartbeat, Serve(HeartbeatResponse, _G, "CB-HBT-001")),
    "heartbeat-before-auth-unknown": rule(_G, Heartbeat, Refuse(_UNKNOWN, "CB-HBT-101", "authenticate first")),
    "unknown-type-before-auth-as-invalid-token": refusals(_unknown_type_early),
    "tunnel-before-auth-as-invalid-tunnel-info": rule(
        _G, TunnelInfo, Refuse(ErrorCode.INVALID_TUNNEL_INFO, "CB-TUN-004", "authenticate first")
    ),
    "identity-dropped": part(refused=_drops_identity),
    "refused-tunnel-closes": closes_after(request_is(TunnelInfo)),
    "failed-transfer-closes": part(ends=lambda body, _: body.get("code") == "data_transfer_failed"),
}
