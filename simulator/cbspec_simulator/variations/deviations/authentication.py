"""Deviations of auth: its answer, its tokens, and the connections that it authenticates."""

from __future__ import annotations

import ssl
from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth
from cbspec.protocol.state import State
from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.answers import answers, put
from cbspec_simulator.variations.deviations.tunnel import served_in
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.requests import accepts
from cbspec_simulator.variations.steps import check, named_tenant, tunnel_request

_ANSWER = "auth_response"


def _other_tenant(exchange: AnswerContext) -> str:
    identity = exchange.connection.identity
    own = identity.tenant.id if identity else ""
    return next((id_ for id_ in exchange.connection.relay.tenants if id_ != own), f"{own}-other")


def _previous_tenant(behaviour: Behaviour) -> Behaviour:
    """Send the tenant of the previous auth."""
    last: dict[int, str] = {}

    def edit(body: Body, exchange: AnswerContext) -> Body:
        key = id(exchange.connection.relay)
        before = last.get(key, body["tenant_id"])
        last[key] = body["tenant_id"]
        return {**body, "tenant_id": before}

    return answers(_ANSWER, edit)(behaviour)


def _let_in(attempt: Attempt, _: Refused) -> None:
    if isinstance(attempt.request, Auth):
        attempt.connection.protocol.state = State.AUTHENTICATED


def _let_in_expired(attempt: Attempt, refused: Refused) -> None:
    if refused.code is ErrorCode.INVALID_TOKEN and not attempt.connection.identity and "expired" in refused.text:
        attempt.connection.protocol.state = State.AUTHENTICATED


def _any_identity(attempt: Attempt) -> Identity:
    """Return the identity of any open connection."""
    for session in attempt.relay.connections:
        if session.identity is not None:
            return session.identity
    raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")


def _tenant_of_newest(attempt: Attempt) -> None:
    known = [session for session in attempt.relay.connections if session.identity]
    newest = max(known, key=lambda session: session.number, default=attempt.connection)
    if newest.identity and tunnel_request(attempt).tenant_id != newest.identity.tenant.id:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the token")


def _resumed_is_known(behaviour: Behaviour) -> Behaviour:
    reading = [False]

    class _Remembering(TlsLayer):
        """Notes whether the data that is read came on a resumed session."""

        __slots__ = ()

        def receive_data(self, data: bytes) -> bytes:
            plain = super().receive_data(data)
            reading[:] = [self.ssl_object.session_reused]
            return plain

    def layer(context: ssl.SSLContext) -> TlsLayer:
        return _Remembering(context, server_side=True)

    def identity_before_auth(attempt: Attempt) -> Identity:
        return named_tenant(attempt) if reading[0] else behaviour.identity_before_auth(attempt)

    return replace(behaviour, identity_before_auth=identity_before_auth, layer=layer)


CHANGES: dict[str, Change] = {
    "auth-tenant-of-another": answers(_ANSWER, put("tenant_id", _other_tenant)),
    "auth-tenant-of-the-one-before": _previous_tenant,
    "array-of-token-accepted": accepts(
        "auth",
        "token",
        lambda value: isinstance(value, list) and len(value) == 1 and isinstance(value[0], str),
        lambda value: value[0],
    ),
    "refused-but-authenticated": part(refused=_let_in, identity_before_auth=named_tenant),
    "expired-but-authenticated": part(refused=_let_in_expired, identity_before_auth=named_tenant),
    "auth-leaks": both(served_in(State.GREETED), part(identity_before_auth=_any_identity)),
    "identity-of-the-newest": check("own-tenant", _tenant_of_newest),
    "resumed-session-authenticated": both(served_in(State.GREETED), _resumed_is_known),
}
