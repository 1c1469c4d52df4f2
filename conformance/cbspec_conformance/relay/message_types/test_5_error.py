"""Source: Message Types / 5. Error. The invariants check every error of the run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from cbspec.tokens.forgery import by_requirement
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import (
    test_buffer_pool_exhausted,
    test_connection_limit_reached,
    test_data_transfer_failed,
    test_ip_not_allowed,
    test_rate_limit_exceeded,
    test_server_unavailable,
    test_tenant_limit_exceeded,
)
from cbspec_conformance.relay.error_codes.refusals import connection_after_error
from cbspec_conformance.relay.notes import test_multi_tenancy
from cbspec_conformance.relay.requests import UNKNOWN, invalid_member_refused, with_tunnel
from cbspec_conformance.runner.marks import last, limits, provokes, rates, requirement, requirements
from cbspec_conformance.target.kinds import in_turn
from cbspec_conformance.target.relay import RelayUnderTest


def _show_expired(relay: RelayUnderTest) -> None:
    forgery = next(iter(by_requirement("CB-AUT-005")))
    relay.show(relay.tokens.forged(forgery, relay.tokens.valid(relay.tenant)), forgery.sentence)


_CAUSES: dict[
    str, tuple[Callable[[RelayUnderTest], object], pytest.MarkDecorator | tuple[pytest.MarkDecorator, ...]]
] = {
    "tenant's tunnels": (test_tenant_limit_exceeded.test_one_tunnel_more, limits("tunnel_limit")),
    "relay's connections": (test_connection_limit_reached.test_one_connection_more, provokes("connection_limit")),
    "buffer pool": (
        lambda relay: test_buffer_pool_exhausted.test_one_tunnel_more(relay, "same connection"),
        provokes("buffer_pool"),
    ),
    "unavailable": (test_server_unavailable.test_unavailable_relay_does_not_serve, provokes("unavailable")),
    "transfer": (test_data_transfer_failed.test_failed_transfer, provokes("transfer_failed")),
    "address": (test_ip_not_allowed.test_address_outside_the_list, ()),
    "rate": (test_rate_limit_exceeded.exceed_again, (rates(0), last)),
    "token": (_show_expired, ()),
    "tenant": (lambda relay: test_multi_tenancy.test_code_for_tenant(relay, "unknown"), ()),
    "port": (lambda relay: invalid_member_refused(relay, "remote_port", {"zero": 0}, "invalid_tunnel_info"), ()),
}
"""Causes of errors that no single request draws, or with codes of their own: those codes' cases, with their marks.

The cases about all kinds of tokens, tenants and ports check the form of their errors, too: one of each is enough here.
"""


@requirements("CB-ERR-001", "CB-ERR-002", "CB-ERR-003", "CB-ERR-004")
def test_errors_are_well_formed(relay: RelayUnderTest, identifier: str) -> None:
    """Cause six kinds of errors: invalid token, no auth, invalid tunnel, wrong tenant, unknown type, not JSON.

    Connections of two tenants are open, and each draws an error that must not name the other.
    """
    tenant, second = relay.tenant, relay.profile.second_tenant
    greeted: dict[str, Mapping[str, Any]] = {
        "before auth": relay.tunnel_info(tenant.id),
        "the signature is wrong": {"type": "auth", "token": relay.tokens.spoiled(tenant)},
    }
    entered = {"remote_port is 0": relay.tunnel_info(tenant.id, remote_port=0), "of unknown type": UNKNOWN}
    if second is not None:
        entered["another tenant's"] = relay.tunnel_info(second.id)
        with contextlib.suppress(NotExercised):  # without room for several connections
            for each in (tenant, second):
                relay.authenticated(each)
    exchanges = [*_drawn(relay.greeted, greeted), *_drawn(relay.authenticated, entered)]
    if second is not None:
        bad = relay.tunnel_info(second.id, remote_port=0)
        exchanges += _drawn(lambda: relay.authenticated(second), {"remote_port is 0": bad})
    exchanges.append(relay.authenticated().ask_text(b"this is no JSON", meant="not JSON"))
    relay.log.judge_invariant(identifier)
    if not any(answer.type == "error" for exchange in exchanges for answer in exchange.answers):
        raise Inconclusive("the relay answered no request with an error")


def _drawn(connect: Callable[[], ProbeSession], requests: Mapping[str, Mapping[str, Any]]) -> Iterator[Exchange]:
    """Send requests, each named by its mistake, on one connection as long as it stays open; yield the exchanges."""
    session: ProbeSession | None = None
    for why, request in requests.items():
        session = connect() if session is None or session.ended else session
        yield session.ask(request, invalid=why)
    if session is not None:
        session.close()


@requirement("CB-ERR-004")
def test_message_quotes_no_token(relay: RelayUnderTest) -> None:
    """Send auths that are nearly JSON; no error may quote their token, which has a wrong signature."""
    relay.authenticated().close()
    text = json.dumps({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}, separators=(",", ":"))
    broken = {
        "trailing comma": f"{text[:-1]},}}".encode(),
        "garbage before": f"x{text}".encode(),
        "single quotes": text.replace('"', "'").encode(),
        "colon missing": text.replace('"token":', '"token" ').encode(),
        "not UTF-8": text[:-1].encode() + b',"x":"\xff"}',
    }

    def check(session: ProbeSession, kind: str) -> None:
        exchange = session.ask_text(broken[kind], meant=kind, like="auth")
        relay.log.judge_invariant("CB-ERR-004")
        if not any(answer.type == "error" for answer in exchange.answers):
            raise NotExercised("the relay sends no error in answer to a text that is not JSON")

    in_turn({kind: kind for kind in broken}, relay.greeted, check)


@requirement("CB-ERR-002", "CB-ERR-001", "CB-ERR-004", "CB-MSG-003")
@pytest.mark.parametrize("cause", [pytest.param(cause, marks=mark) for cause, (_, mark) in _CAUSES.items()])
def test_errors_of_every_cause_are_well_formed(relay: RelayUnderTest, cause: str) -> None:
    """Cause errors by limits, rates and conditions; each has a known type, a listed code and a message."""
    try:
        with contextlib.suppress(Broken):  # the cause's own requirement judges it
            _CAUSES[cause][0](relay)
    finally:
        relay.log.judge_invariant("CB-ERR-002")


@requirement("CB-ERR-101")
def test_connection_after_an_error(relay: RelayUnderTest) -> None:
    """Cause errors, each on a connection of its own, and send another request after each."""
    with_tunnel(relay)
    draws: dict[str, tuple[Callable[[], ProbeSession], Mapping[str, Any]]] = {
        "an invalid tunnel_info": (relay.authenticated, relay.tunnel_info(local_port=-1)),
        "an unknown type": (relay.authenticated, UNKNOWN),
        "a tunnel_info before auth": (relay.greeted, relay.tunnel_info()),
        "another tenant's tenant_id": (relay.authenticated, relay.tunnel_info(f"{relay.tenant.id}-unknown")),
    }
    for name, (connect, request) in draws.items():
        session = connect()
        session.ask(request, invalid=name)
        relay.log.saw(connection_after_error(session), of=name)
    session = relay.authenticated()
    session.ask_text(b"this is no JSON", meant="not JSON")
    relay.log.saw(connection_after_error(session), of="not JSON")
