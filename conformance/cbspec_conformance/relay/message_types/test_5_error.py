"""Source: Message Types / 5. Error. Every error of the run is held against these, whatever it answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.observing import CLOSED, OPEN
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.causes import CAUSES
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-ERR-001")
def test_code_is_listed(relay: RelayUnderTest) -> None:
    """Errors of six causes are drawn: bad token, no auth, bad tunnel, another tenant's, unknown type, not JSON."""
    _well_formed(relay, "CB-ERR-001")


@requirement("CB-ERR-002")
def test_message_is_a_string(relay: RelayUnderTest) -> None:
    """Errors of six causes are drawn: bad token, no auth, bad tunnel, another tenant's, unknown type, not JSON."""
    _well_formed(relay, "CB-ERR-002")


@requirement("CB-ERR-003")
def test_message_is_not_empty(relay: RelayUnderTest) -> None:
    """Errors of six causes are drawn: bad token, no auth, bad tunnel, another tenant's, unknown type, not JSON."""
    _well_formed(relay, "CB-ERR-003")


@requirement("CB-ERR-004")
def test_message_tells_no_secret(relay: RelayUnderTest) -> None:
    """Errors of six causes are drawn; no text may hold a token that was sent, the secret or another tenant's name."""
    _well_formed(relay, "CB-ERR-004")


@requirement("CB-ERR-004")
@pytest.mark.parametrize("kind", ["trailing comma", "garbage before", "single quotes", "colon missing", "not UTF-8"])
def test_message_quotes_no_token(relay: RelayUnderTest, kind: str) -> None:
    """An auth with a spoiled token is spelled so that it is nearly JSON; no error may quote the token."""
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
        raise NotExercised("the relay answers what is no JSON with no error")


@requirement("CB-ERR-101")
def test_behind_an_error(relay: RelayUnderTest) -> None:
    """Errors are drawn, each on a connection of its own, and another request follows, answered or not."""
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
        relay.log.saw(_afterwards(session), of=name)
    session = relay.authenticated()
    session.ask_text(b"this is no JSON", meant="not JSON")
    relay.log.saw(_afterwards(session), of="not JSON")


def _afterwards(session: ProbeSession) -> str:
    """Return whether a connection answers one more request."""
    exchange = session.ask({"type": "cbspec_behind_an_error"}, invalid="of unknown type", fence=False)
    if not exchange.answers and exchange.ended is None:
        raise Inconclusive("neither an answer nor an end behind the error")
    return OPEN if exchange.answers else CLOSED


@last
@alone
@requirement("CB-ERR-001")
@pytest.mark.parametrize("cause", list(CAUSES))
def test_code_is_listed_whatever_the_cause(relay: RelayUnderTest, cause: str) -> None:
    """What the profile declares is filled up, exceeded or provoked; the error that this draws has a listed code."""
    CAUSES[cause](relay)
    relay.log.judge_invariant("CB-ERR-001")


@last
@alone
@requirement("CB-ERR-002")
@pytest.mark.parametrize("cause", list(CAUSES))
def test_message_is_a_string_whatever_the_cause(relay: RelayUnderTest, cause: str) -> None:
    """What the profile declares is filled up, exceeded or provoked; the error that this draws has a message."""
    CAUSES[cause](relay)
    relay.log.judge_invariant("CB-ERR-002")


def _well_formed(relay: RelayUnderTest, identifier: str) -> None:
    tenant = relay.tenant
    draws: list[tuple[Callable[[], ProbeSession], dict[str, Any], str]] = [
        (relay.authenticated, relay.tunnel_info(tenant.id, remote_port=0), "remote_port is 0"),
        (relay.greeted, relay.tunnel_info(tenant.id), "before auth"),
        (relay.greeted, {"type": "auth", "token": relay.tokens.spoiled(tenant)}, "a spoiled token"),
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
        raise Inconclusive("the relay answered nothing with an error")
