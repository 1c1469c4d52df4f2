"""Order of messages: a second hello, other versions, early messages, a second auth, and errors that close."""

from __future__ import annotations

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, AuthResponse, Heartbeat, HeartbeatResponse, Hello, HelloResponse, TunnelInfo
from cbspec.protocol.state import Refuse, Serve, State
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import answers, closes_after, put, request_is
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.steps import added, refusals, rule

_C, _G, _A = State.CONNECTED, State.GREETED, State.AUTHENTICATED
_UNKNOWN, _TOKEN = ErrorCode.UNKNOWN_MESSAGE_TYPE, ErrorCode.INVALID_TOKEN
_NO_SECOND = Refuse(_UNKNOWN, "CB-HEL-101", "hello was sent already")


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


def _unauthenticated(attempt: Attempt) -> bool:
    return attempt.connection.admitted and attempt.identity is None


CHANGES: dict[str, Change] = {
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
    "second-auth-takes-over": rule(_A, Auth, Serve(AuthResponse, _A, "CB-AUT-001")),
    "second-auth-closes": closes_after(_second_auth),
    "heartbeat-before-auth-served": rule(_G, Heartbeat, Serve(HeartbeatResponse, _G, "CB-HBT-001")),
    "heartbeat-before-auth-unknown": rule(_G, Heartbeat, Refuse(_UNKNOWN, "CB-HBT-101", "authenticate first")),
    "unknown-type-before-auth-as-invalid-token": refusals(
        lambda attempt, event: (
            Refused(_TOKEN, "authenticate first")
            if event.requirement == "CB-UNK-001" and _unauthenticated(attempt)
            else None
        )
    ),
    "tunnel-before-auth-as-invalid-tunnel-info": rule(
        _G, TunnelInfo, Refuse(ErrorCode.INVALID_TUNNEL_INFO, "CB-TUN-004", "authenticate first")
    ),
    "refused-tunnel-closes": closes_after(request_is(TunnelInfo)),
    "failed-transfer-closes": part(ends=lambda body, _: body.get("code") == "data_transfer_failed"),
}
