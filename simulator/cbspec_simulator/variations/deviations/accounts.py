"""Ways to count limits on the wrong account: for somebody else, only once, for ever, or given back too early."""

from __future__ import annotations

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, TunnelInfo
from cbspec_simulator.variations.compose import answers, asked, part, silence
from cbspec_simulator.variations.deviations.counting import (
    CONNECTIONS,
    POOL,
    RELAY,
    TUNNELS,
    at_auth,
    closes,
    connection,
    freed,
    half,
    holding,
    looked_at_first,
    nobody,
    of_all,
    once,
    refusal_frees,
    refused_ones_count,
    refused_ones_take_buffers,
    sticks,
    subject,
    tenant,
    told_and_served,
    transport,
    until_auth,
    watching,
)
from cbspec_simulator.variations.deviations.kind import Deviation

_OVER = ErrorCode.TENANT_LIMIT_EXCEEDED
_AT_ONCE = 0.01  # seconds
_IN_ONE_PIECE = 0.02  # seconds: the edge takes much at once in turns

OF_TUNNELS = (
    Deviation(
        "tunnel-limit-per-subject",
        "CB-LIM-005",
        "A tenant's limit of tunnels counts for each of its subjects anew.",
        holding(TUNNELS, subject),
    ),
    Deviation(
        "tunnel-limit-per-transport",
        "CB-LIM-005",
        "A tenant's limit of tunnels counts for each transport anew.",
        holding(TUNNELS, transport),
    ),
    Deviation(
        "tunnel-limit-counts-others",
        "CB-LIM-004",
        "All tenants' tunnels count towards each tenant's limit.",
        of_all(TUNNELS),
    ),
    Deviation(
        "tunnel-limit-once",
        "CB-LIM-002",
        "On each connection only the first tunnel over the limit is refused.",
        once(TUNNELS, connection),
    ),
    Deviation(
        "tunnel-limit-looked-at-first",
        "CB-LIM-002",
        "Tunnels that are asked for in one piece are all held against the count before the first of them.",
        looked_at_first(TUNNELS, lambda earlier, now: now.monotonic - earlier.monotonic < _IN_ONE_PIECE),
    ),
    Deviation(
        "tunnel-limit-closes",
        "CB-LIM-002",
        "A tunnel over its tenant's limit ends the connection without a word.",
        closes(TUNNELS, _OVER, TunnelInfo),
    ),
    Deviation(
        "tunnel-limit-freed-by-any-close",
        "CB-LIM-005",
        "When any connection of a tenant ends, none of its tunnels counts any more.",
        freed(TUNNELS, CONNECTIONS),
    ),
    Deviation(
        "tunnels-half-given-back", "CB-LIM-006", "Of the tunnels that end only half stop counting.", half(TUNNELS)
    ),
    Deviation(
        "tunnel-limit-sticks",
        "CB-LIM-006",
        "A tenant that was at its limit of tunnels once stays there.",
        sticks(TUNNELS, tenant),
    ),
)

OF_CONNECTIONS = (
    Deviation(
        "tenant-connections-per-subject",
        "CB-LIM-012",
        "A tenant's limit of connections counts for each of its subjects anew.",
        holding(CONNECTIONS, subject),
    ),
    Deviation(
        "tenant-connections-per-transport",
        "CB-LIM-012",
        "A tenant's limit of connections counts for each transport anew.",
        holding(CONNECTIONS, transport),
    ),
    Deviation(
        "tenant-connections-count-others",
        "CB-LIM-013",
        "All tenants' connections count towards each tenant's limit.",
        of_all(CONNECTIONS),
    ),
    Deviation(
        "tenant-connections-once",
        "CB-LIM-012",
        "Of each tenant only the first connection over the limit is refused.",
        once(CONNECTIONS, tenant),
    ),
    Deviation(
        "tenant-connections-looked-at-first",
        "CB-LIM-012",
        "Auths that come within ten milliseconds are all held against the count before the first of them.",
        looked_at_first(CONNECTIONS, lambda earlier, now: now.monotonic - earlier.monotonic < _AT_ONCE),
    ),
    Deviation(
        "tenant-connections-silent",
        "CB-LIM-012",
        "An auth over its tenant's limit of connections is not answered.",
        answers(f"error:{_OVER}", silence, asked(Auth)),
    ),
    Deviation(
        "tenant-connections-closes",
        "CB-LIM-012",
        "An auth over its tenant's limit of connections ends the connection without a word.",
        closes(CONNECTIONS, _OVER, Auth),
    ),
    Deviation(
        "tenant-connections-freed-by-any-close",
        "CB-LIM-012",
        "When one connection of a tenant ends, none of the others counts any more.",
        freed(CONNECTIONS, CONNECTIONS),
    ),
    Deviation(
        "tenant-connections-freed-by-refusal",
        "CB-LIM-012",
        "A connection that was refused a tunnel no longer counts.",
        part(refused=refusal_frees),
    ),
    Deviation(
        "tenant-connections-stick",
        "CB-LIM-014",
        "A tenant that was at its limit of connections once stays there.",
        sticks(CONNECTIONS, tenant),
    ),
)

OF_THE_RELAY = (
    Deviation(
        "relay-connections-once",
        "CB-CON-002",
        "Only the first connection over the relay's limit is refused.",
        once(RELAY, nobody),
    ),
    Deviation(
        "relay-connections-per-tenant",
        "CB-CON-002",
        "The relay's limit of connections counts for each tenant anew.",
        at_auth(tenant),
    ),
    Deviation(
        "relay-connections-until-auth",
        "CB-CON-002",
        "A connection that has authenticated no longer counts towards the relay's limit.",
        until_auth,
    ),
    Deviation(
        "relay-connections-told-and-served",
        "CB-CON-002",
        "A connection over the relay's limit is told so, and served.",
        told_and_served,
    ),
    Deviation(
        "relay-connections-count-refused",
        "CB-CON-005",
        "A connection that was refused for the relay's limit counts for ever.",
        watching(RELAY, refused_ones_count),
    ),
    Deviation(
        "relay-connections-stick",
        "CB-CON-005",
        "A relay that was at its limit of connections once stays there.",
        sticks(RELAY, nobody),
    ),
    Deviation(
        "buffer-pool-once",
        "CB-BUF-002",
        "On each connection only the first tunnel without a buffer is refused.",
        once(POOL, connection),
    ),
    Deviation(
        "buffer-pool-per-connection",
        "CB-BUF-002",
        "Each connection has a pool of its own.",
        holding(POOL, connection),
    ),
    Deviation("buffer-pool-per-tenant", "CB-BUF-002", "Each tenant has a pool of its own.", holding(POOL, tenant)),
    Deviation(
        "buffer-pool-freed-by-any-close",
        "CB-BUF-002",
        "When any connection ends, every buffer is free.",
        freed(POOL, CONNECTIONS),
    ),
    Deviation(
        "buffer-pool-counts-refused",
        "CB-BUF-001",
        "A tunnel_info that is refused takes a buffer for ever.",
        part(refused=refused_ones_take_buffers),
    ),
    Deviation(
        "buffers-half-given-back", "CB-BUF-003", "Of the buffers that were used only half come back.", half(POOL)
    ),
    Deviation("buffer-pool-sticks", "CB-BUF-003", "A pool that was used up once stays so.", sticks(POOL, nobody)),
)

DEVIATIONS = (*OF_TUNNELS, *OF_CONNECTIONS, *OF_THE_RELAY)
