"""Each of the eleven codes where it is due: unlisted, silent, without its members, as another message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cbspec.protocol.messages import Auth, TunnelInfo
from cbspec.tokens.jws import Compact
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import Edit, When, always, answers, asked, broke, drop, instead, put, silence
from cbspec_simulator.variations.deviations.kind import Deviation


@dataclass(frozen=True, slots=True)
class _Due:
    """Where a code is due: in whose stead, by which requirement, and what is said in its place."""

    code: str
    requirement: str
    what: str
    unlisted: str
    when: When = always
    answer: str = ""
    silent: bool = True
    said: str = ""

    def change(self, edit: Edit) -> Callable[[Body, AnswerContext], Body | list[Body]]:
        """Return the edit where the error's text is the one that is meant."""
        return lambda body, exchange: edit(body, exchange) if self.said in str(body.get("message")) else body


def _of_unknown_tenant(exchange: AnswerContext) -> bool:
    if not isinstance(exchange.request, Auth):
        return False
    try:
        named = Compact.split(exchange.request.token).claims.get("tenant_id")
    except ValueError:
        return False
    return isinstance(named, str) and named not in exchange.connection.relay.tenants


_AUTH, _TUNNEL = "auth_response", "tunnel_response"
_DUE = (
    _Due("invalid_token", "CB-AUT-005", "An expired token", "token_expired", answer=_AUTH, said="expired"),
    _Due("rate_limit_exceeded", "CB-RAT-001", "A request above the rate", "too_many_requests", silent=False),
    _Due("connection_limit_reached", "CB-CON-003", "A connection too many", "too_many_connections", silent=False),
    _Due("server_unavailable", "CB-UNA-002", "A client of a draining relay", "service_unavailable", silent=False),
    _Due(
        "invalid_tunnel_info",
        "CB-TUN-010",
        "A tunnel_info whose remote_port is out of range",
        "bad_port",
        broke("CB-TUN-010"),
        _TUNNEL,
    ),
    _Due(
        "unknown_message_type",
        "CB-UNK-001",
        "A message of unknown type",
        "unsupported",
        broke("CB-UNK-001"),
        silent=False,
    ),
    _Due(
        "tenant_limit_exceeded",
        "CB-LIM-002",
        "A tunnel over its tenant's limit",
        "quota_exceeded",
        asked(TunnelInfo),
        _TUNNEL,
    ),
    _Due("tenant_not_found", "CB-TEN-002", "A token of an unknown tenant", "no_such_tenant", _of_unknown_tenant, _AUTH),
    _Due("ip_not_allowed", "CB-ADR-002", "An address that isn't on the list", "forbidden", answer=_AUTH),
    _Due("buffer_pool_exhausted", "CB-BUF-002", "A tunnel without a buffer", "out_of_memory", answer=_TUNNEL),
    _Due("data_transfer_failed", "CB-TRF-001", "A tunnel to an end out of reach", "dial_failed", answer=_TUNNEL),
)


def _each() -> Iterator[Deviation]:
    for due in _DUE:
        kinds: list[tuple[str, str, str, Edit]] = [
            ("unlisted", "CB-ERR-001", f'draws "{due.unlisted}", which is no code.', put("code", due.unlisted)),
            ("without-code", "CB-ERR-001", "draws an error without a code.", drop("code")),
            ("without-message", "CB-ERR-002", "draws an error without a message.", drop("message")),
            (
                "as-its-own-type",
                "CB-MSG-003",
                "draws a message whose type is the code.",
                instead(type=due.code, message="refused"),
            ),
        ]
        if due.silent:
            kinds.append(("silent", due.requirement, "draws no answer.", silence))
        if due.answer:
            status = instead(type=due.answer, status="error", error=due.code)
            kinds.append(("as-a-status", due.requirement, f'draws a {due.answer} with status "error".', status))
        for kind, requirement, rest, edit in kinds:
            change = answers(f"error:{due.code}", due.change(edit), due.when)
            yield Deviation(f"{due.code.replace('_', '-')}-{kind}", requirement, f"{due.what} {rest}", change)


DEVIATIONS = tuple(_each())
