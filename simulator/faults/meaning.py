"""Faults of meaning: messages in good form that say the wrong thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbspec.codes import ErrorCode
from cbspec.messages import Auth, Hello, TunnelInfo
from simulator.faults.kind import Body, Handling, Kind, Layer, Param, Strike
from simulator.limits import Account
from simulator.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Attempt, Refused, Step
from simulator.values import COUNT, FLAG, TEXT


def _refused(handling: Handling, strike: Strike) -> None:
    code, text, close = strike["code"], strike["text"], strike["close"]

    def check(attempt: Attempt) -> None:
        raise Refused(code, text or f"refused as {code}", close=close)

    handling.steps.append(Step(strike.fault, check))


def _typed(body: Body, strike: Strike) -> list[Body]:
    return [{**body, "type": strike["type"]}]


def _with(*names: str) -> Callable[[Body, Strike], list[Body]]:
    """Return what puts another value into whichever of these members a message has."""

    def edit(body: Body, strike: Strike) -> list[Body]:
        return [{name: strike["value"] if name in names else value for name, value in body.items()}]

    return edit


def _unavailable(handling: Handling, strike: Strike) -> None:
    def check(attempt: Attempt) -> None:
        if isinstance(attempt.request, Hello | Auth | TunnelInfo):
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work")

    handling.steps.append(Step(strike.fault, check))


def _smaller(handling: Handling, strike: Strike) -> None:
    def check(attempt: Attempt) -> None:
        ledger = attempt.relay.ledger
        tenant = strike.occasion.tenant

        def full(name: str, holder: Any, limit: int | None) -> bool:  # noqa: ANN401 - any holder of an account
            return limit is not None and ledger.used(Account(name, holder)) >= limit

        if isinstance(attempt.request, Hello) and full(RELAY_CONNECTIONS.name, None, strike["relay_connections"]):
            raise Refused(RELAY_CONNECTIONS.code, RELAY_CONNECTIONS.text, close=True)
        if isinstance(attempt.request, Auth) and full(TENANT_CONNECTIONS.name, tenant, strike["connections"]):
            raise Refused(TENANT_CONNECTIONS.code, TENANT_CONNECTIONS.text)
        if isinstance(attempt.request, TunnelInfo) and full(TENANT_TUNNELS.name, tenant, strike["tunnels"]):
            raise Refused(TENANT_TUNNELS.code, TENANT_TUNNELS.text)
        if isinstance(attempt.request, TunnelInfo) and full(BUFFERS.name, None, strike["buffers"]):
            raise Refused(BUFFERS.code, BUFFERS.text)

    handling.steps.append(Step(strike.fault, check))


KINDS: Final = (
    Kind(
        "error",
        Layer.MEANING,
        "A request is refused with this code, listed or not, and has no effect.",
        "each of the eleven codes, on demand",
        {
            "code": Param(TEXT.says(f"the code: {', '.join(ErrorCode)}, or any other"), required=True),
            "text": Param(TEXT.says("the error's message")),
            "close": Param(FLAG.says("whether the connection ends behind it"), False),
        },
        request=_refused,
    ),
    Kind(
        "wrong-type",
        Layer.MEANING,
        "An answer has another type.",
        "CB-MSG-003",
        {"type": Param(TEXT.says("the type"), "heartbeat_response")},
        edit=_typed,
    ),
    Kind(
        "wrong-id",
        Layer.MEANING,
        "A tunnel_response is for another tunnel_id, an auth_response for another client_id.",
        "CB-TUN-002",
        {"value": Param(TEXT.says("the id"), "another-id")},
        edit=_with("tunnel_id", "client_id"),
    ),
    Kind(
        "wrong-tenant",
        Layer.MEANING,
        "An auth_response names another tenant than the token.",
        "CB-AUT-003",
        {"value": Param(TEXT.says("the tenant_id"), "another-tenant")},
        edit=_with("tenant_id"),
    ),
    Kind(
        "unavailable",
        Layer.MEANING,
        "New work (hello, auth, tunnel_info) is refused as server_unavailable.",
        "CB-UNA-001",
        request=_unavailable,
    ),
    Kind(
        "limits",
        Layer.MEANING,
        "Limits are smaller than the configured ones; what is open stays.",
        "CB-LIM-001",
        {
            "tunnels": Param(COUNT.says("how many tunnels the tenant has")),
            "connections": Param(COUNT.says("how many connections the tenant has")),
            "relay_connections": Param(COUNT.says("how many connections the relay serves")),
            "buffers": Param(COUNT.says("how many tunnels the relay has buffers for")),
        },
        request=_smaller,
    ),
)
