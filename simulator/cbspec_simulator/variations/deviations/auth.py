"""Ways to be wrong about the answer to auth, and about whom it counts for."""

from __future__ import annotations

import ssl
from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, TunnelInfo, TunnelResponse
from cbspec.protocol.state import Serve, State
from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour
from cbspec_simulator.variations.compose import Change, answers, both, check, drop, part, put, rule, silence, turn
from cbspec_simulator.variations.deviations.kind import Deviation

_ANSWER = "auth_response"


def other_tenant(exchange: AnswerContext) -> str:
    """Return a tenant that isn't the connection's."""
    identity = exchange.connection.identity
    own = identity.tenant.id if identity else ""
    return next((id_ for id_ in exchange.connection.relay.tenants if id_ != own), f"{own}-other")


def named_tenant(attempt: Attempt) -> Identity:
    """Return an identity for the tenant that a tunnel_info names."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - of tunnel_info only
    tenant = attempt.relay.tenants.get(attempt.request.tenant_id)
    if tenant is None:
        raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
    return Identity("", tenant)


def serve_stranger(state: State) -> Change:
    """Serve a tunnel_info in a state in which nobody has authenticated."""
    return rule(state, TunnelInfo, Serve(TunnelResponse, state, "CB-TUN-001"))


def _let_in(attempt: Attempt, _: Refused) -> None:
    if isinstance(attempt.request, Auth):
        attempt.connection.protocol.state = State.AUTHENTICATED


def _somebody(attempt: Attempt) -> Identity:
    """Return the identity of any connection that is open."""
    for session in attempt.relay.connections:
        if session.identity is not None:
            return session.identity
    raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")


def _tenant_of_newest(attempt: Attempt) -> None:
    known = [session for session in attempt.relay.connections if session.identity]
    newest = max(known, key=lambda session: session.number, default=attempt.connection)
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    if newest.identity and attempt.request.tenant_id != newest.identity.tenant.id:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the token")


class _Remembering(TlsLayer):
    """Tells whether what is read at the moment came on a TLS session that was resumed."""

    __slots__ = ("_reading",)

    def __init__(self, context: ssl.SSLContext, reading: list[bool]) -> None:
        super().__init__(context, server_side=True)
        self._reading = reading

    def receive_data(self, data: bytes) -> bytes:
        plain = super().receive_data(data)
        self._reading[:] = [self.resumed]
        return plain


def _resumed_is_known(behaviour: Behaviour) -> Behaviour:
    reading = [False]

    def stranger(attempt: Attempt) -> Identity:
        return named_tenant(attempt) if reading[0] else behaviour.stranger(attempt)

    return replace(behaviour, stranger=stranger, layer=lambda context: _Remembering(context, reading))


DEVIATIONS = (
    Deviation("auth-unanswered", "CB-AUT-001", "An auth is never answered.", answers(_ANSWER, silence)),
    Deviation(
        "auth-status-success",
        "CB-AUT-001",
        'The auth_response\'s status is "success".',
        answers(_ANSWER, put("status", "success")),
    ),
    Deviation(
        "auth-status-missing", "CB-AUT-001", "The auth_response has no status.", answers(_ANSWER, drop("status"))
    ),
    Deviation(
        "auth-status-true", "CB-AUT-001", "The auth_response's status is true.", answers(_ANSWER, put("status", True))
    ),
    Deviation(
        "auth-client-id-missing",
        "CB-AUT-002",
        "The auth_response has no client_id.",
        answers(_ANSWER, drop("client_id")),
    ),
    Deviation(
        "auth-client-id-number",
        "CB-AUT-002",
        "The auth_response's client_id is a number.",
        answers(_ANSWER, put("client_id", 42)),
    ),
    Deviation(
        "auth-client-id-null",
        "CB-AUT-002",
        "The auth_response's client_id is null.",
        answers(_ANSWER, put("client_id", None)),
    ),
    Deviation(
        "auth-client-id-empty",
        "CB-AUT-004",
        "The auth_response's client_id is empty.",
        answers(_ANSWER, put("client_id", "")),
    ),
    Deviation(
        "auth-tenant-missing",
        "CB-AUT-003",
        "The auth_response has no tenant_id.",
        answers(_ANSWER, drop("tenant_id")),
    ),
    Deviation(
        "auth-tenant-array",
        "CB-AUT-003",
        "The auth_response's tenant_id is an array with the tenant in it.",
        answers(_ANSWER, turn("tenant_id", lambda tenant: [tenant])),
    ),
    Deviation(
        "auth-tenant-of-another",
        "CB-AUT-003",
        "The auth_response names another tenant than the token's.",
        answers(_ANSWER, put("tenant_id", other_tenant)),
    ),
    Deviation(
        "auth-tenant-capitals",
        "CB-AUT-003",
        "The auth_response names the tenant in capitals.",
        answers(_ANSWER, turn("tenant_id", str.upper)),
    ),
    Deviation(
        "refused-but-authenticated",
        "CB-AUT-016",
        "After a refused token the connection may open tunnels all the same.",
        part(refused=_let_in, stranger=named_tenant),
    ),
    Deviation(
        "auth-leaks",
        "CB-AUT-017",
        "As long as one connection is authenticated, every connection is.",
        both(serve_stranger(State.GREETED), part(stranger=_somebody)),
    ),
    Deviation(
        "identity-of-the-newest",
        "CB-AUT-017",
        "A connection acts for the tenant of whoever connected last and authenticated.",
        check("own-tenant", _tenant_of_newest),
    ),
    Deviation(
        "resumed-session-authenticated",
        "CB-AUT-017",
        "Whoever resumes a TLS session needs no auth.",
        both(serve_stranger(State.GREETED), _resumed_is_known),
    ),
)
