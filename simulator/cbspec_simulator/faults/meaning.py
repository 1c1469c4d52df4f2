"""Faults of meaning: well-formed messages with wrong content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Final

from cbspec.documents import Text, says
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Hello, TunnelInfo
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.base.values import Natural
from cbspec_simulator.faults.kind import Body, FaultKind, FaultLayer, Handling, Param, Strike


def _refuse(handling: Handling, strike: Strike) -> None:
    code, text, close = strike["code"], strike["text"], strike["close"]

    def check(attempt: Attempt) -> None:
        raise Refused(code, text or f"refused as {code}", close=close)

    handling.first_steps.append(Step(strike.fault, check))


def _replace(*names: str) -> Callable[[Body, Strike], list[Body]]:
    """Return the edit that replaces the values of these members if they are present."""

    def edit(body: Body, strike: Strike) -> list[Body]:
        return [{name: strike["value"] if name in names else value for name, value in body.items()}]

    return edit


def _refuse_new_work(handling: Handling, strike: Strike) -> None:
    def check(attempt: Attempt) -> None:
        if isinstance(attempt.request, Hello | Auth | TunnelInfo):
            close = not attempt.connection.admitted
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=close)

    handling.first_steps.append(Step(strike.fault, check))


_QUOTAS: Final[Mapping[str, Quota]] = {
    "tunnels": TENANT_TUNNELS,
    "connections": TENANT_CONNECTIONS,
    "relay_connections": RELAY_CONNECTIONS,
    "buffers": BUFFERS,
}


def _limit(handling: Handling, strike: Strike) -> None:
    # Comes after the relay's own steps, so that other errors of a request take precedence.
    def check(attempt: Attempt) -> None:
        for name, quota in _QUOTAS.items():
            taken = [account for account in attempt.held if account.name == quota.name]
            if strike[name] is not None and any(attempt.relay.usage.used(each) > strike[name] for each in taken):
                raise Refused(quota.code, quota.text, close=quota.close)

    handling.last_steps.append(Step(strike.fault, check))


_kind = partial(FaultKind, FaultLayer.MEANING)

KINDS: Final = (
    _kind(
        "error",
        "A request is refused with this code, standard or not, and has no effect.",
        "any of the eleven codes, on demand",
        {
            "code": Param(
                Annotated[Text, says("", *ErrorCode)], f"the code: {', '.join(ErrorCode)}, or any other", required=True
            ),
            "text": Param(Text, "the message of the error"),
            "close": Param(bool, "whether the connection ends after the error", False),
        },
        request=_refuse,
    ),
    _kind(
        "wrong-type",
        "An answer has another type.",
        "CB-MSG-003",
        {"type": Param(Text, "the type", "heartbeat_response")},
        edit=lambda body, strike: [{**body, "type": strike["type"]}],
    ),
    _kind(
        "wrong-id",
        "A tunnel_response has another tunnel_id, or an auth_response another client_id.",
        "CB-TUN-002",
        {"value": Param(Text, "the id", "another-id")},
        edit=_replace("tunnel_id", "client_id"),
    ),
    _kind(
        "wrong-tenant",
        "An auth_response names another tenant than the token.",
        "CB-AUT-003",
        {"value": Param(Text, "the tenant_id", "another-tenant")},
        edit=_replace("tenant_id"),
    ),
    _kind(
        "unavailable",
        "New work (hello, auth, tunnel_info) is refused with server_unavailable; "
        "connections without a hello are closed.",
        "CB-UNA-001",
        request=_refuse_new_work,
    ),
    _kind(
        "limits",
        "Limits are lower than configured; open tunnels and connections stay open.",
        "CB-LIM-001",
        {
            "tunnels": Param(Natural, "tunnels of the tenant"),
            "connections": Param(Natural, "connections of the tenant"),
            "relay_connections": Param(Natural, "connections of the relay"),
            "buffers": Param(Natural, "tunnels for which the relay has buffers"),
        },
        some=True,
        request=_limit,
    ),
)
