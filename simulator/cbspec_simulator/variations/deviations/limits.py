"""Ways to be wrong about limits: of tunnels, connections, buffers and the whole relay."""

from __future__ import annotations

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Step
from cbspec_simulator.variations.compose import Change, answers, each_step, limit, part, quota, recoded, silence
from cbspec_simulator.variations.deviations.kind import Deviation

_TUNNELS, _CONNECTIONS = TENANT_TUNNELS.name, TENANT_CONNECTIONS.name
_RELAY, _BUFFERS = RELAY_CONNECTIONS.name, BUFFERS.name


def _fewer(number: int) -> int:
    return number - 1


def _more(number: int) -> int:
    return number + 1


def _never(_: int) -> None:
    return None


def _kept(name: str) -> Change:
    """Never give back what was counted under a name."""
    return part(gives_back=lambda account: account.name != name)


def _kept_at_reset(name: str) -> Change:
    """Never give back what a connection that was reset held under a name."""
    return part(gives_back_at_reset=lambda account: account.name != name)


def _suffers_from_others(name: str, code: ErrorCode) -> Change:
    """Refuse everybody for as long as any tenant is at its limit."""

    def limit_of(tenant: Tenant) -> int | None:
        return tenant.tunnel_limit if name == _TUNNELS else tenant.connection_limit

    def full(attempt: Attempt) -> None:
        for tenant in attempt.relay.tenants.values():
            most = limit_of(tenant)
            if most is not None and attempt.relay.usage.used(Account(name, tenant.id)) >= most:
                raise Refused(code, "the limit is reached")

    return each_step(name, lambda step: (Step(f"{name}-of-all", full, step.when), step))


def _refused_ones_count(attempt: Attempt, refused: Refused) -> None:
    """Count a tunnel although its tunnel_info was refused for what it says."""
    wanted = attempt.request is None or isinstance(attempt.request, TunnelInfo)
    wrong = refused.code in (ErrorCode.INVALID_TUNNEL_INFO, ErrorCode.TENANT_NOT_FOUND)
    if wanted and wrong and attempt.identity is not None:
        account = Account(_TUNNELS, attempt.identity.tenant.id)
        attempt.relay.usage.take(account, None)
        attempt.connection.hold(account)


def _failed_ones_count(attempt: Attempt, refused: Refused) -> None:
    """Count a tunnel although its data could not be transferred."""
    if refused.code is ErrorCode.DATA_TRANSFER_FAILED and attempt.identity is not None:
        account = Account(_TUNNELS, attempt.identity.tenant.id)
        attempt.relay.usage.take(account, None)
        attempt.connection.hold(account)


def _silently(code: ErrorCode) -> Change:
    return answers(f"error:{code}", silence)


TENANT = (
    Deviation(
        "tunnel-limit-ignored", "CB-LIM-002", "A tenant may open any number of tunnels.", limit(_TUNNELS, _never)
    ),
    Deviation("tunnel-limit-late", "CB-LIM-002", "A tenant may open one tunnel too many.", limit(_TUNNELS, _more)),
    Deviation("tunnel-limit-early", "CB-LIM-001", "A tenant may open one tunnel too few.", limit(_TUNNELS, _fewer)),
    Deviation(
        "tunnel-limit-wrong-code",
        "CB-LIM-002",
        "A tunnel over its tenant's limit is refused with buffer_pool_exhausted.",
        recoded(_TUNNELS, ErrorCode.BUFFER_POOL_EXHAUSTED),
    ),
    Deviation(
        "tunnel-limit-per-connection",
        "CB-LIM-005",
        "A tenant's limit of tunnels counts for each of its connections anew.",
        quota(_TUNNELS, holder=lambda attempt: (attempt.known.tenant.id, attempt.connection.number)),
    ),
    Deviation(
        "tunnel-limit-shared",
        "CB-LIM-004",
        "As long as one tenant is at its limit of tunnels, no tenant may open one.",
        _suffers_from_others(_TUNNELS, ErrorCode.TENANT_LIMIT_EXCEEDED),
    ),
    Deviation(
        "tunnel-limit-counts-refused",
        "CB-LIM-003",
        "A tunnel_info that is refused counts as a tunnel.",
        part(refused=_refused_ones_count),
    ),
    Deviation(
        "tunnel-limit-counts-failed-transfers",
        "CB-LIM-003",
        "A tunnel whose data could not be transferred counts for as long as its connection is open.",
        part(refused=_failed_ones_count),
    ),
    Deviation(
        "tunnels-never-given-back",
        "CB-LIM-006",
        "A tenant's tunnels count for ever.",
        _kept(_TUNNELS),
    ),
    Deviation(
        "tunnels-kept-at-reset",
        "CB-LIM-006",
        "The tunnels of a connection that is reset count for ever.",
        _kept_at_reset(_TUNNELS),
    ),
    Deviation(
        "tenant-connections-ignored",
        "CB-LIM-012",
        "A tenant may have any number of connections.",
        limit(_CONNECTIONS, _never),
    ),
    Deviation(
        "tenant-connections-late",
        "CB-LIM-012",
        "A tenant may have one connection too many.",
        limit(_CONNECTIONS, _more),
    ),
    Deviation(
        "tenant-connections-early",
        "CB-LIM-011",
        "A tenant may have one connection too few.",
        limit(_CONNECTIONS, _fewer),
    ),
    Deviation(
        "tenant-connections-wrong-code",
        "CB-LIM-012",
        "A connection over its tenant's limit is refused with connection_limit_reached.",
        recoded(_CONNECTIONS, ErrorCode.CONNECTION_LIMIT_REACHED),
    ),
    Deviation(
        "tenant-connections-shared",
        "CB-LIM-013",
        "As long as one tenant is at its limit of connections, no tenant may connect.",
        _suffers_from_others(_CONNECTIONS, ErrorCode.TENANT_LIMIT_EXCEEDED),
    ),
    Deviation(
        "tenant-connections-never-given-back",
        "CB-LIM-014",
        "A tenant's connections count for ever.",
        _kept(_CONNECTIONS),
    ),
    Deviation(
        "tenant-connections-kept-at-reset",
        "CB-LIM-014",
        "A tenant's connection that is reset counts for ever.",
        _kept_at_reset(_CONNECTIONS),
    ),
)

RELAY = (
    Deviation(
        "relay-connections-ignored", "CB-CON-002", "The relay serves any number of connections.", limit(_RELAY, _never)
    ),
    Deviation(
        "relay-connections-late", "CB-CON-002", "The relay serves one connection too many.", limit(_RELAY, _more)
    ),
    Deviation(
        "relay-connections-early", "CB-CON-001", "The relay serves one connection too few.", limit(_RELAY, _fewer)
    ),
    Deviation(
        "relay-connections-wrong-code",
        "CB-CON-003",
        "A connection over the relay's limit is refused with tenant_limit_exceeded.",
        recoded(_RELAY, ErrorCode.TENANT_LIMIT_EXCEEDED),
    ),
    Deviation(
        "relay-connections-silent",
        "CB-CON-004",
        "A connection over the relay's limit is closed without a word.",
        _silently(ErrorCode.CONNECTION_LIMIT_REACHED),
    ),
    Deviation(
        "relay-connections-never-given-back", "CB-CON-005", "The relay's connections count for ever.", _kept(_RELAY)
    ),
    Deviation(
        "relay-connections-kept-at-reset",
        "CB-CON-005",
        "A connection that is reset counts for ever towards the relay's limit.",
        _kept_at_reset(_RELAY),
    ),
    Deviation(
        "second-hello-counts",
        "CB-CON-001",
        "A second hello on a connection counts as another connection.",
        each_step(_RELAY, lambda step: (Step(step.name, step.check),)),
    ),
    Deviation("buffer-pool-ignored", "CB-BUF-002", "The pool has any number of buffers.", limit(_BUFFERS, _never)),
    Deviation("buffer-pool-late", "CB-BUF-002", "The pool has one buffer too many.", limit(_BUFFERS, _more)),
    Deviation("buffer-pool-early", "CB-BUF-001", "The pool has one buffer too few.", limit(_BUFFERS, _fewer)),
    Deviation(
        "buffer-pool-wrong-code",
        "CB-BUF-002",
        "A tunnel without a buffer is refused with tenant_limit_exceeded.",
        recoded(_BUFFERS, ErrorCode.TENANT_LIMIT_EXCEEDED),
    ),
    Deviation("buffers-never-given-back", "CB-BUF-003", "A buffer once used is gone.", _kept(_BUFFERS)),
    Deviation(
        "buffers-kept-at-reset",
        "CB-BUF-003",
        "The buffers of a connection that is reset are gone.",
        _kept_at_reset(_BUFFERS),
    ),
)

DEVIATIONS = (*TENANT, *RELAY)
