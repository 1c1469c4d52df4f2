"""Causes of errors that no single request draws: a limit that is filled, a rate that is exceeded, a provoked condition.

They leave the errors to the invariants.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from cbspec.tokens.forgery import FORGERIES
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.relay.error_codes.limits import limited_tenant
from cbspec_conformance.relay.error_codes.refusals import attempt, failing, limited
from cbspec_conformance.target.relay import RelayUnderTest

_MARGIN = 3


def _tunnels(relay: RelayUnderTest) -> None:
    tenant, limit = limited_tenant(relay, "tunnel_limit")
    _exceed(relay, relay.authenticated(tenant), limit)


def _buffers(relay: RelayUnderTest) -> None:
    with limited(relay, "buffer_pool", relay.profile.relay.buffer_pool) as (at, size):
        _exceed(relay, relay.authenticated(at=at), size)


def _exceed(relay: RelayUnderTest, session: ProbeSession, limit: int) -> None:
    for _ in range(limit + 1):
        if not session.ended:
            session.ask(relay.tunnel_info(session.tenant))


def _connections(relay: RelayUnderTest) -> None:
    with limited(relay, "connection_limit", relay.profile.relay.connection_limit) as (at, limit):
        for _ in range(limit + 1):
            attempt(relay, at)


def _unavailable(relay: RelayUnderTest) -> None:
    with relay.provoked("unavailable") as (_, at):
        attempt(relay, at)


def _transfer(relay: RelayUnderTest) -> None:
    with failing(relay) as (at, request):
        relay.authenticated(at=at).ask(request)


def _address(relay: RelayUnderTest) -> None:
    tenants = relay.profile.tenants_with("allowed_addresses")
    if not tenants:
        raise NotExercised("give tenants.allowed_addresses")
    for tenant in tenants:
        session = relay.greeted()
        relay.authenticate(session, tenant)
        if session.authenticated:
            session.ask(relay.tunnel_info(tenant.id))


def _rate(relay: RelayUnderTest) -> None:
    tenants = relay.profile.tenants_with("rate")
    if not tenants or tenants[-1].rate is None:
        raise NotExercised("give tenants.rate (for a tenant of its own)")
    rate = tenants[-1].rate
    session = relay.authenticated(tenants[-1])
    session.expect_rate_limit()
    notes = [session.note({"type": "heartbeat"}) for _ in range(int(_MARGIN * (rate.burst + rate.per_second)))]
    session.send_unanswered(b"".join(data for _, data in notes), messages=len(notes))
    answers: list[Message] = []
    while len(answers) < len(notes) and (more := session.answers(1)):
        answers += more
        if any(answer.type == "error" for answer in more):
            break  # hundreds of errors may exceed the probe's bound on unexpected answers
    relay.shared.rate_exceeded()
    for (request, _), answer in zip(notes, answers, strict=False):
        if answer.type != "heartbeat_response":
            relay.log.observe(Exchange(request, (answer,), tenant=session.tenant))
        if answer.type == "error":
            return


def _tokens(relay: RelayUnderTest) -> None:
    valid = relay.tokens.valid(relay.tenant)
    for forgery in FORGERIES:
        if forgery.name in ("expired-11-minutes", "tenant-new"):
            with contextlib.suppress(NotExercised):  # some forgeries need the signing key
                relay.show(relay.tokens.forged(forgery, valid), forgery.sentence)


def _ports(relay: RelayUnderTest) -> None:
    session = relay.authenticated()
    session.ask(relay.tunnel_info(session.tenant, remote_port=70000), invalid="remote_port is above 65535")


CAUSES: dict[str, Callable[[RelayUnderTest], None]] = {
    "tenant's tunnels": _tunnels,
    "relay's connections": _connections,
    "buffer pool": _buffers,
    "unavailable": _unavailable,
    "transfer": _transfer,
    "address": _address,
    "rate": _rate,
    "token": _tokens,
    "port": _ports,
}
"""Each cause by its name, as a function that draws the error."""
