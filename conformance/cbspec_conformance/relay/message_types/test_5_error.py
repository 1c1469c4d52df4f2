"""Source: Message Types / 5. Error. The invariants check every error of the run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.causes import CAUSES
from cbspec_conformance.relay.error_codes.refusals import connection_after_error
from cbspec_conformance.runner.marks import alone, last, requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest


@requirements("CB-ERR-001", "CB-ERR-002", "CB-ERR-003", "CB-ERR-004")
def test_errors_are_well_formed(relay: RelayUnderTest, identifier: str) -> None:
    """Cause six kinds of errors: invalid token, no auth, invalid tunnel, wrong tenant, unknown type, not JSON."""
    tenant = relay.tenant
    draws: list[tuple[Callable[[], ProbeSession], dict[str, Any], str]] = [
        (relay.authenticated, relay.tunnel_info(tenant.id, remote_port=0), "remote_port is 0"),
        (relay.greeted, relay.tunnel_info(tenant.id), "before auth"),
        (relay.greeted, {"type": "auth", "token": relay.tokens.spoiled(tenant)}, "the signature is wrong"),
        (relay.authenticated, {"type": "cbspec_unknown"}, "of unknown type"),
    ]
    if relay.profile.second_tenant is not None:
        draws.append((relay.authenticated, relay.tunnel_info(relay.second_tenant.id), "another tenant's"))
    exchanges = []
    for connect, request, why in draws:
        with contextlib.closing(connect()) as session:
            exchanges.append(session.ask(request, invalid=why))
    with contextlib.closing(relay.authenticated()) as session:
        exchanges.append(session.ask_text(b"this is no JSON", meant="not JSON"))
    relay.log.judge_invariant(identifier)
    if not any(answer.type == "error" for exchange in exchanges for answer in exchange.answers):
        raise Inconclusive("the relay answered no request with an error")


@requirement("CB-ERR-004")
@pytest.mark.parametrize("kind", ["trailing comma", "garbage before", "single quotes", "colon missing", "not UTF-8"])
def test_message_quotes_no_token(relay: RelayUnderTest, kind: str) -> None:
    """Send an auth that is nearly JSON; no error may quote its token, which has a wrong signature."""
    relay.authenticated().close()
    text = json.dumps({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}, separators=(",", ":"))
    broken = {
        "trailing comma": f"{text[:-1]},}}".encode(),
        "garbage before": f"x{text}".encode(),
        "single quotes": text.replace('"', "'").encode(),
        "colon missing": text.replace('"token":', '"token" ').encode(),
        "not UTF-8": text[:-1].encode() + b',"x":"\xff"}',
    }
    exchange = relay.greeted().ask_text(broken[kind], meant=kind, like="auth")
    relay.log.judge_invariant("CB-ERR-004")
    if not any(answer.type == "error" for answer in exchange.answers):
        raise NotExercised("the relay sends no error in answer to a text that is not JSON")


@last
@alone
@requirements("CB-ERR-001", "CB-ERR-002")
@pytest.mark.parametrize("cause", list(CAUSES))
def test_errors_of_every_cause_are_well_formed(relay: RelayUnderTest, cause: str, identifier: str) -> None:
    """Cause errors by limits, rates and conditions; each has a listed code and a message."""
    CAUSES[cause](relay)
    relay.log.judge_invariant(identifier)


@requirement("CB-ERR-101")
def test_connection_after_an_error(relay: RelayUnderTest) -> None:
    """Cause errors, each on a connection of its own, and send another request after each."""
    relay.open_tunnel(relay.authenticated())
    draws: dict[str, tuple[Callable[[], ProbeSession], dict[str, Any]]] = {
        "an invalid tunnel_info": (relay.authenticated, relay.tunnel_info(local_port=-1)),
        "an unknown type": (relay.authenticated, {"type": "cbspec_unknown"}),
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
