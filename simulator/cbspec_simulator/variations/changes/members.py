"""Members of a request that the page doesn't give it, and that the relay believes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cbspec.protocol.messages import Auth, Heartbeat, Hello, Message, Violation
from cbspec.protocol.state import State
from cbspec.tokens.jwt import Claims, TokenRejected
from cbspec_simulator.base.state import Attempt, Authority, Identity
from cbspec_simulator.base.steps import Check, IoRequest, Step
from cbspec_simulator.relay.behaviour import Behaviour, identity_before_auth
from cbspec_simulator.variations.changes.order import served_in
from cbspec_simulator.variations.parts import Change, around, both, notes
from cbspec_simulator.variations.requests import Understand, Verify
from cbspec_simulator.variations.steps import added, checking, tunnel_request

Told = Callable[[], Mapping[str, Any]]
"""Returns the members of the message that the relay handles."""


def _believing(make: Callable[[Told], Change]) -> Change:
    """Keep the members of each message for the change that `make` returns."""

    def change(behaviour: Behaviour) -> Behaviour:
        told: dict[str, Any] = {}

        def understand(before: Understand, value: object) -> Message | Violation:
            told.clear()
            told.update(value if isinstance(value, dict) else {})
            return before(value)

        return both(around("understand", understand), make(lambda: told))(behaviour)

    return change


def _named(attempt: Attempt, told: Mapping[str, Any]) -> Identity | None:
    """Return an identity of the active tenant that a member names."""
    tenant = attempt.relay.tenants.get(str(told.get("tenant_id")))
    return Identity("someone", tenant) if tenant is not None and tenant.active else None


def _tenant_of_auth(told: Told) -> Change:
    def take(attempt: Attempt) -> None:
        attempt.identity = _named(attempt, told()) or attempt.known

    return added(Auth, Step("tenant-member", take))


def _tenant_of_an_object(told: Told) -> Change:
    def user() -> Mapping[str, Any]:
        named = told().get("user")
        return named if isinstance(named, dict) else {}

    return _tenant_of_auth(user)


def _client_of_auth(told: Told) -> Change:
    def take(attempt: Attempt) -> None:
        attempt.identity = replace(attempt.known, subject=str(told().get("client_id", attempt.known.subject)))

    return added(Auth, Step("client-member", take))


def _status_of_auth(told: Told) -> Change:
    def verified(verify: Verify, authority: Authority, token: str, now: float) -> Claims:
        try:
            return verify(authority, token, now)
        except TokenRejected:
            if told().get("status") != "ok":
                raise
            return Claims("anyone", next(id_ for id_, tenant in authority.tenants.items() if tenant.active), {})

    return around("verify", verified)


_noted = notes()


def _noting(told: Told) -> Step:
    """Note the tenant that a message with a token names, for its connection."""

    def note(attempt: Attempt) -> None:
        found = _named(attempt, told())
        if found is not None and "token" in told():
            _noted(attempt.relay)[attempt.connection.number] = found

    return Step("token-member", note)


def _token_of_hello(told: Told) -> Change:
    def identity(attempt: Attempt) -> Identity:
        return _noted(attempt.relay).get(attempt.connection.number) or identity_before_auth(attempt)

    return both(added(Hello, _noting(told)), served_in(State.GREETED, identity))


def _tenant_of_hello(told: Told) -> Change:
    """Note the tenant that a hello names, and take it for the auth after it."""

    def note(attempt: Attempt) -> None:
        _noted(attempt.relay)[attempt.connection.number] = _named(attempt, told())

    def take(attempt: Attempt) -> None:
        attempt.identity = _noted(attempt.relay).get(attempt.connection.number) or attempt.known

    return both(added(Hello, Step("note-tenant", note)), added(Auth, Step("take-tenant", take)))


def _role_of_heartbeat(told: Told) -> Change:
    """Open tunnels for any tenant after a heartbeat with the role admin."""

    def note(attempt: Attempt) -> None:
        _noted(attempt.relay)[attempt.connection.number] = told().get("role") == "admin"

    def noted(attempt: Attempt, _: object) -> bool:
        return bool(_noted(attempt.relay).get(attempt.connection.number))

    return both(added(Heartbeat, Step("note-role", note)), _passing("own-tenant", noted)(told))


def _token_elsewhere(understand: Understand, value: object) -> Message | Violation:
    """Take the token from the member jwt."""
    if isinstance(value, dict) and "token" not in value and "jwt" in value:
        value = {**value, "token": value["jwt"]}
    return understand(value)


def _token_of_tunnel(told: Told) -> Change:
    def identity(attempt: Attempt) -> Identity:
        found = _named(attempt, told()) if "token" in told() else None
        return found or identity_before_auth(attempt)

    return served_in(State.GREETED, identity)


def _tenant_of_heartbeat(told: Told) -> Change:
    def take(attempt: Attempt) -> None:
        attempt.connection.identity = _named(attempt, told()) or attempt.connection.identity

    return added(Heartbeat, Step("tenant-member", take))


def _passing(step: str, test: Callable[[Attempt, Mapping[str, Any]], object]) -> Callable[[Told], Change]:
    """Skip a check if `test` is true of the members."""

    def make(told: Told) -> Change:
        def checked(inner: Check, attempt: Attempt) -> IoRequest | None:
            return None if test(attempt, told()) else inner(attempt)

        return checking(step, checked)

    return make


def _unsigned_tenant(attempt: Attempt, told: Mapping[str, Any]) -> bool:
    return "token" in told and tunnel_request(attempt).tenant_id == told.get("tenant")


CHANGES: dict[str, Change] = {
    "auth-tenant-member-believed": _believing(_tenant_of_auth),
    "auth-client-id-member-believed": _believing(_client_of_auth),
    "auth-status-member-believed": _believing(_status_of_auth),
    "hello-token-member-believed": _believing(_token_of_hello),
    "tunnel-token-member-believed": _believing(_token_of_tunnel),
    "auth-jwt-member-believed": around("understand", _token_elsewhere),
    "auth-tenant-in-an-object-believed": _believing(_tenant_of_an_object),
    "hello-tenant-member-believed": _believing(_tenant_of_hello),
    "heartbeat-role-member-believed": _believing(_role_of_heartbeat),
    "heartbeat-tenant-member-believed": _believing(_tenant_of_heartbeat),
    "tunnel-role-member-believed": _believing(_passing("own-tenant", lambda _, told: told.get("role") == "admin")),
    "tunnel-for-another-token-member": _believing(_passing("own-tenant", _unsigned_tenant)),
    "tunnel-force-member-believed": _believing(_passing("tenant-tunnels", lambda _, told: told.get("force"))),
}
