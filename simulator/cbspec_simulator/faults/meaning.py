"""Faults of meaning: messages in good form that say the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Hello, TunnelInfo
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.base.values import COUNT, FLAG, TEXT
from cbspec_simulator.faults.kind import Body, FaultKind, FaultLayer, Handling, Param, Strike


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
            close = not attempt.connection.admitted
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=close)

    handling.steps.append(Step(strike.fault, check))


_QUOTAS: Final[Mapping[str, Quota]] = {
    "tunnels": TENANT_TUNNELS,
    "connections": TENANT_CONNECTIONS,
    "relay_connections": RELAY_CONNECTIONS,
    "buffers": BUFFERS,
}


def _smaller(handling: Handling, strike: Strike) -> None:
    # Behind the relay's own steps, so that whatever else is wrong with a request is said first.
    def check(attempt: Attempt) -> None:
        for name, quota in _QUOTAS.items():
            taken = [account for account in attempt.held if account.name == quota.name]
            if strike[name] is not None and any(attempt.relay.usage.used(each) > strike[name] for each in taken):
                raise Refused(quota.code, quota.text, close=quota.close)

    handling.behind.append(Step(strike.fault, check))


_CODE: Final = replace(TEXT, schema={**TEXT.schema, "examples": list(ErrorCode)})

KINDS: Final = (
    FaultKind(
        "error",
        FaultLayer.MEANING,
        "A request is refused with this code, listed or not, and has no effect.",
        "each of the eleven codes, on demand",
        {
            "code": Param(_CODE.says(f"the code: {', '.join(ErrorCode)}, or any other"), required=True),
            "text": Param(TEXT.says("the error's message")),
            "close": Param(FLAG.says("whether the connection ends behind it"), False),
        },
        request=_refused,
    ),
    FaultKind(
        "wrong-type",
        FaultLayer.MEANING,
        "An answer has another type.",
        "CB-MSG-003",
        {"type": Param(TEXT.says("the type"), "heartbeat_response")},
        edit=_typed,
    ),
    FaultKind(
        "wrong-id",
        FaultLayer.MEANING,
        "A tunnel_response is for another tunnel_id, an auth_response for another client_id.",
        "CB-TUN-002",
        {"value": Param(TEXT.says("the id"), "another-id")},
        edit=_with("tunnel_id", "client_id"),
    ),
    FaultKind(
        "wrong-tenant",
        FaultLayer.MEANING,
        "An auth_response names another tenant than the token.",
        "CB-AUT-003",
        {"value": Param(TEXT.says("the tenant_id"), "another-tenant")},
        edit=_with("tenant_id"),
    ),
    FaultKind(
        "unavailable",
        FaultLayer.MEANING,
        "New work (hello, auth, tunnel_info) is refused as server_unavailable; who isn't greeted yet is closed.",
        "CB-UNA-001",
        request=_unavailable,
    ),
    FaultKind(
        "limits",
        FaultLayer.MEANING,
        "Limits are smaller than the configured ones; what is open stays.",
        "CB-LIM-001",
        {
            "tunnels": Param(COUNT.says("how many tunnels the tenant has")),
            "connections": Param(COUNT.says("how many connections the tenant has")),
            "relay_connections": Param(COUNT.says("how many connections the relay serves")),
            "buffers": Param(COUNT.says("how many tunnels the relay has buffers for")),
        },
        some=True,
        request=_smaller,
    ),
)
