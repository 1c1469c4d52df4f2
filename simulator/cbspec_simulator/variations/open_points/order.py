"""What comes when: a second hello, another version, a message too early, a second auth, what an error ends."""

from __future__ import annotations

from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, AuthResponse, Heartbeat, HeartbeatResponse, Hello, HelloResponse, TunnelInfo
from cbspec.protocol.state import Refuse, Serve, State
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import HELLO_STEPS, Step
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import Change, When, answers, asked, both, broke, part, put, refusals, rule
from cbspec_simulator.variations.open_points.kind import OpenPoint

_C, _G, _A = State.CONNECTED, State.GREETED, State.AUTHENTICATED
_NO_SECOND = Refuse(ErrorCode.UNKNOWN_MESSAGE_TYPE, "CB-HEL-101", "hello was said already")


def _version_1_0(attempt: Attempt) -> None:
    """Refuse a hello of another version."""
    assert isinstance(attempt.request, Hello)  # noqa: S101 - a step of hello only
    if attempt.request.version != "1.0":
        raise Refused(ErrorCode.UNKNOWN_MESSAGE_TYPE, "only version 1.0 is spoken here")


def _with_step(step: Step) -> Change:
    """Take a step before the others of hello."""

    def change(behaviour: Any) -> Any:  # noqa: ANN401 - a Behaviour, in and out
        return part(steps={**behaviour.steps, Hello: (step, *HELLO_STEPS)})(behaviour)

    return change


def _said(exchange: AnswerContext) -> object:
    return exchange.request.version if isinstance(exchange.request, Hello) else "1.0"


def _in_common(body: Body, exchange: AnswerContext) -> Body:
    listed = exchange.request.features if isinstance(exchange.request, Hello) else ()
    return {**body, "features": [feature for feature in body["features"] if feature in listed]}


def _as(code: ErrorCode, *requirements: str) -> Change:
    return refusals(lambda _, event: Refused(code, event.text) if event.requirement in requirements else None)


def _ends(when: When) -> Change:
    """Close behind the errors for which `when` holds."""
    return part(ends=lambda body, exchange: body["type"] == "error" and when(exchange))


def _second_auth(exchange: AnswerContext) -> bool:
    # A refused token's request is valid and known; a second auth is refused before it is looked at.
    return exchange.request is None and exchange.requirement == "CB-AUT-001"


def _unknown_and_greeted(attempt: Attempt) -> bool:
    return attempt.connection.admitted and attempt.identity is None


OPEN_POINTS = (
    OpenPoint(
        "second-hello-refused",
        "CB-HEL-101",
        "A second hello is refused.",
        both(rule(_G, Hello, _NO_SECOND), rule(_A, Hello, _NO_SECOND)),
    ),
    OpenPoint(
        "second-hello-forgets-auth",
        "CB-HEL-101",
        "A second hello begins anew: the connection must authenticate again.",
        rule(_A, Hello, Serve(HelloResponse, _G, "CB-HEL-001")),
    ),
    OpenPoint(
        "version-echoed",
        "CB-HEL-102",
        "The hello_response names the version that the hello named.",
        answers("hello_response", put("version", _said)),
    ),
    OpenPoint(
        "other-versions-refused",
        "CB-HEL-102",
        "A hello that names another version than 1.0 is refused.",
        _with_step(Step("version", _version_1_0)),
    ),
    OpenPoint(
        "bad-hello-as-invalid-tunnel-info",
        "CB-HEL-103",
        "A hello that is not right is refused with invalid_tunnel_info.",
        _as(ErrorCode.INVALID_TUNNEL_INFO, "CB-HEL-005", "CB-HEL-006"),
    ),
    OpenPoint(
        "tunnel-before-hello-as-unknown-message-type",
        "CB-HEL-104",
        "A tunnel_info before hello is refused with unknown_message_type, as other messages are.",
        rule(_C, TunnelInfo, Refuse(ErrorCode.UNKNOWN_MESSAGE_TYPE, "CB-HEL-007", "say hello first")),
    ),
    OpenPoint(
        "heartbeat-before-hello-served",
        "CB-HEL-007",
        "A heartbeat is answered before hello.",
        rule(_C, Heartbeat, Serve(HeartbeatResponse, _C, "CB-HBT-001")),
    ),
    OpenPoint(
        "features-in-common",
        "CB-HEL-106",
        "The hello_response lists only features that the hello lists, too.",
        answers("hello_response", _in_common),
    ),
    OpenPoint(
        "client-id-with-tenant",
        "CB-AUT-101",
        "The client_id is the tenant's id and the subject.",
        answers("auth_response", lambda body, _: {**body, "client_id": f"{body['tenant_id']}/{body['client_id']}"}),
    ),
    OpenPoint(
        "second-auth-takes-over",
        "CB-AUT-102",
        "A second auth is accepted, and the connection acts for its tenant from then on.",
        rule(_A, Auth, Serve(AuthResponse, _A, "CB-AUT-001")),
    ),
    OpenPoint(
        "second-auth-closes",
        "CB-AUT-102",
        "The connection is closed behind a second auth.",
        _ends(_second_auth),
    ),
    OpenPoint(
        "heartbeat-before-auth-served",
        "CB-HBT-101",
        "A heartbeat is answered between hello and auth.",
        rule(_G, Heartbeat, Serve(HeartbeatResponse, _G, "CB-HBT-001")),
    ),
    OpenPoint(
        "heartbeat-before-auth-unknown",
        "CB-HBT-101",
        "A heartbeat between hello and auth is refused with unknown_message_type.",
        rule(_G, Heartbeat, Refuse(ErrorCode.UNKNOWN_MESSAGE_TYPE, "CB-HBT-101", "authenticate first")),
    ),
    OpenPoint(
        "unknown-type-before-auth-as-invalid-token",
        "CB-UNK-102",
        "A message of unknown type between hello and auth is refused with invalid_token.",
        refusals(
            lambda attempt, event: (
                Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
                if event.requirement == "CB-UNK-001" and _unknown_and_greeted(attempt)
                else None
            )
        ),
    ),
    OpenPoint(
        "tunnel-before-auth-as-invalid-tunnel-info",
        "CB-TUN-004",
        "A tunnel_info between hello and auth is refused with invalid_tunnel_info.",
        rule(_G, TunnelInfo, Refuse(ErrorCode.INVALID_TUNNEL_INFO, "CB-TUN-004", "authenticate first")),
    ),
    OpenPoint(
        "close-after-unknown-type",
        "CB-ERR-101",
        "The connection is closed behind a message of unknown type.",
        _ends(lambda exchange: exchange.requirement == "CB-UNK-001"),
    ),
    OpenPoint(
        "tunnel-before-auth-closes",
        "CB-ERR-101",
        "The connection is closed behind a tunnel_info that came before auth.",
        _ends(broke("CB-TUN-004")),
    ),
    OpenPoint(
        "refused-tunnel-closes",
        "CB-ERR-101",
        "The connection is closed behind a tunnel_info that is valid and was refused.",
        _ends(asked(TunnelInfo)),
    ),
    OpenPoint(
        "failed-transfer-closes",
        "CB-TRF-101",
        "The connection is closed behind data_transfer_failed.",
        part(ends=lambda body, _: body.get("code") == "data_transfer_failed"),
    ),
)
