"""What draws the errors that no single request does: what the profile declares is filled, exceeded or provoked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from cbspec.tokens.forgery import FORGERIES
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.relay.error_codes.limits import fillable
from cbspec_conformance.relay.error_codes.refusals import attempt, limited
from cbspec_conformance.target.provoke import provoked
from cbspec_conformance.target.relay import RelayUnderTest

_MARGIN = 3


def _tunnels(relay: RelayUnderTest) -> None:
    tenants = relay.profile.tenants_with("tunnel_limit")
    if not tenants:
        raise NotExercised("give tenants.tunnel_limit (for a tenant of its own)")
    limit = fillable(tenants[0].tunnel_limit or 0, "tenants.tunnel_limit")
    session = relay.authenticated(tenants[0])
    for _ in range(limit + 1):
        if not session.ended:
            session.ask(relay.tunnel_info(session.tenant))


def _connections(relay: RelayUnderTest) -> None:
    with limited(relay, "connection_limit", relay.profile.relay.connection_limit) as (at, limit):
        for _ in range(limit + 1):
            attempt(relay, at)


def _buffers(relay: RelayUnderTest) -> None:
    with limited(relay, "buffer_pool", relay.profile.relay.buffer_pool) as (at, size):
        session = relay.authenticated(at=at)
        for _ in range(size + 1):
            if not session.ended:
                session.ask(relay.tunnel_info(session.tenant))


def _unavailable(relay: RelayUnderTest) -> None:
    with provoked(relay.profile, "unavailable") as (_, at):
        attempt(relay, at)


def _transfer(relay: RelayUnderTest) -> None:
    remote = relay.profile.remote
    end = remote.unreachable or remote.reachable
    request = relay.tunnel_info(remote_host=end.host, remote_port=end.port)
    if remote.dialled and remote.unreachable is not None:
        relay.authenticated().ask(request)
        return
    with provoked(relay.profile, "transfer_failed") as (_, at):
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
    session.send_unanswered(b"".join(data for _, data in notes))
    answers = _up_to_an_error(session, len(notes))
    relay.shared.rate_exceeded()
    for (request, _), answer in zip(notes, answers, strict=False):
        if answer.type != "heartbeat_response":
            relay.log.observe(Exchange(request, (answer,), tenant=session.tenant))
            if judge.error_code(Exchange(request, (answer,))):
                return


def _up_to_an_error(session: ProbeSession, count: int) -> list[Message]:
    """Return at most so many answers, no more behind an error: hundreds of errors may be more than can be held."""
    answers: list[Message] = []
    while len(answers) < count and (more := session.answers(1)):
        answers += more
        if any(answer.type == "error" for answer in more):
            break
    return answers


def _tokens(relay: RelayUnderTest) -> None:
    valid = relay.tokens.valid(relay.tenant)
    for forgery in FORGERIES:
        if forgery.name in ("expired-11-minutes", "tenant-new"):
            with contextlib.suppress(NotExercised):  # without the key it can't be made
                relay.show_forged(forgery, valid)


def _ports(relay: RelayUnderTest) -> None:
    session = relay.authenticated()
    session.ask(relay.tunnel_info(session.tenant, remote_port=70000), invalid="no such port")


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
"""Each cause, by its name: called with the relay, it draws the error and leaves it to the invariants."""
