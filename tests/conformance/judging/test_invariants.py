"""Invariants of every exchange: each breach names its requirement, and conforming exchanges break none."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import find
from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.record.exchange import ABOUT_A_REQUEST, Exchange
from tests.conformance.build import (
    AUTH,
    AUTH_RESPONSE,
    HEARTBEAT,
    HEARTBEAT_RESPONSE,
    HELLO,
    HELLO_RESPONSE,
    JSON,
    REQUESTS,
    SUCCESSES,
    TUNNEL,
    TUNNEL_RESPONSE,
    error,
    exchange,
    received,
)

TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"


def _token(claims: dict[str, Any]) -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


# An exchange, and the requirements that it breaks.
BREACHES: Final[dict[str, tuple[Exchange, list[str]]]] = {
    # ------------------------------------------------ conforming
    **{f"fine: {name}": (exchange(REQUESTS[name], SUCCESSES[name]), []) for name in REQUESTS},
    **{f"fine: {code}": (exchange(TUNNEL, error(code)), []) for code in ErrorCode},
    "neither request nor answer": (exchange(None), []),
    "a client_id that isn't ASCII": (exchange(AUTH, {**AUTH_RESPONSE, "client_id": "é☃"}), []),
    # ------------------------------------------------ the bytes
    "not JSON": (exchange(TUNNEL, b"ok"), ["CB-MSG-002"]),
    # ------------------------------------------------ members
    "version 2.0": (exchange(HELLO, {**HELLO_RESPONSE, "version": "2.0"}), ["CB-HEL-004"]),
    "version 2.0, as requested": (
        exchange({**HELLO, "version": "2.0"}, {**HELLO_RESPONSE, "version": "2.0"}),
        [],  # the specification does not say how a hello with another version is answered
    ),
    "features a string": (exchange(HELLO, {**HELLO_RESPONSE, "features": "tls"}), ["CB-HEL-003"]),
    "client_id empty, without a subject": (
        exchange({"type": "auth", "token": _token({})}, {**AUTH_RESPONSE, "client_id": ""}), [],
    ),
    "client_id empty, with a subject": (
        exchange({"type": "auth", "token": _token({"sub": "user"})}, {**AUTH_RESPONSE, "client_id": ""}),
        ["CB-AUT-004"],
    ),
    "tenant_id null": (exchange(AUTH, {**AUTH_RESPONSE, "tenant_id": None}), ["CB-AUT-003"]),
    "another tenant": (exchange(AUTH, AUTH_RESPONSE, tenant="tenant-002"), ["CB-AUT-003"]),
    "tunnel_id a number": (exchange(TUNNEL, {**TUNNEL_RESPONSE, "tunnel_id": 1}), ["CB-TUN-002"]),
    "another tunnel_id": (exchange(TUNNEL, {**TUNNEL_RESPONSE, "tunnel_id": "tunnel_002"}), ["CB-TUN-002"]),
    "tunnel_id trimmed": (exchange({**TUNNEL, "tunnel_id": "tunnel_001 "}, TUNNEL_RESPONSE), ["CB-TUN-002"]),
    "a refusal without the tunnel_id": (
        exchange(TUNNEL, {**TUNNEL_RESPONSE, "status": "error", "tunnel_id": "x"}), [],
    ),
    # ------------------------------------------------ types
    "an unknown type": (exchange(HEARTBEAT, {"type": "pong"}), ["CB-MSG-003"]),
    "a type that is no string": (exchange(HEARTBEAT, {"type": ["error"]}), ["CB-MSG-003"]),
    # ------------------------------------------------ errors
    "a code that is an array": (exchange(TUNNEL, error(["invalid_token"])), ["CB-ERR-001"]),
    "a code that isn't listed": (exchange(TUNNEL, error("bad_request")), ["CB-ERR-001"]),
    "no message": (exchange(TUNNEL, {"type": "error", "code": "invalid_token"}), ["CB-ERR-002"]),
    "an empty message": (exchange(TUNNEL, error(message="")), ["CB-ERR-003"]),
    # ------------------------------------------------ secrets in error texts
    "another tenant's short name": (
        exchange(TUNNEL, error(message="only 'acme' and tenant globex"), tenant="mine", secrets=("acme",)),
        ["CB-ERR-004"],
    ),
    "another tenant after the word tenant": (
        exchange(TUNNEL, error(message="tenant_id=globex is full"), tenant="mine", secrets=("globex",)),
        ["CB-ERR-004"],
    ),
    "a word that is a tenant's name": (
        exchange(TUNNEL, error(message="too slow, 'not' a tenant"), tenant="mine", secrets=("slow",)), [],
    ),
    "the secret": (exchange(AUTH, error(message="not by s3cret-s3cret"), secrets=("s3cret-s3cret",)), ["CB-ERR-004"]),
    "an error names another tenant": (
        exchange(TUNNEL, error(message="tenant-002 is full"), tenant="tenant-001", secrets=("tenant-002",)),
        ["CB-ERR-004"],
    ),
    "an error names its own tenant": (
        exchange(TUNNEL, error(message="tenant-002 is full"), tenant="tenant-002", secrets=("tenant-002",)),
        [],
    ),
    "its own tenant's name begins with another's": (
        exchange(TUNNEL, error(message="tenant-10 is full"), tenant="tenant-10", secrets=("tenant-1",)), [],
    ),
    "the token of the request": (
        exchange({"type": "auth", "token": TOKEN}, error(message=f"{TOKEN} has expired")), ["CB-ERR-004"],
    ),
    "the token of a request that is not JSON": (
        exchange(f"{{'token':'{TOKEN}'}}".encode(), error(message=f"no JSON: {TOKEN}")), ["CB-ERR-004"],
    ),
    "a request that is not JSON, without a token": (exchange(b"{'token'}", error(message="no JSON: {'token'}")), []),
    "the token in an array": (
        exchange({"type": "auth", "token": [TOKEN]}, error(message=f"[{TOKEN}] is no text")), ["CB-ERR-004"],
    ),
    "a short token may occur by chance": (exchange({"type": "auth", "token": "no"}, error(message="no")), []),
    # ------------------------------------------------ number of answers
    "doubled": (exchange(HEARTBEAT, HEARTBEAT_RESPONSE, HEARTBEAT_RESPONSE), ["CB-MSG-004"]),
    "an error that comes unasked, then the answer": (exchange(TUNNEL, error("ip_not_allowed"), TUNNEL_RESPONSE), []),
    "an error after the answer": (
        exchange(TUNNEL, TUNNEL_RESPONSE, error("ip_not_allowed")), ["CB-MSG-004"],
    ),
    "an error about the request, then success": (exchange(TUNNEL, error(), TUNNEL_RESPONSE), ["CB-MSG-004"]),
    "another request's second answer": (
        exchange(TUNNEL, {**TUNNEL_RESPONSE, "tunnel_id": "tunnel_000"}, TUNNEL_RESPONSE), ["CB-MSG-004"],
    ),
    "another request's answer": (exchange(TUNNEL, HEARTBEAT_RESPONSE), []),
    "one broken, one valid": (exchange(TUNNEL, b"log line", TUNNEL_RESPONSE), ["CB-MSG-002"]),
    "the relay ends, then success": (exchange(TUNNEL, error("server_unavailable"), TUNNEL_RESPONSE), []),
    "two with a code that is an array": (
        exchange(TUNNEL, TUNNEL_RESPONSE, error(["x"])), ["CB-ERR-001", "CB-MSG-004"],
    ),
    "a success that carries an error's code": (
        exchange(TUNNEL, TUNNEL_RESPONSE, {**TUNNEL_RESPONSE, "code": "server_unavailable"}), ["CB-MSG-004"],
    ),
    "two errors in answer to a broken message": (
        Exchange(received(b"x"), (received(error()), received(error()))), [],
    ),
    "a success and an error in answer to a broken message": (
        Exchange(received(b"x"), (received(error()), received(HEARTBEAT_RESPONSE))), ["CB-MSG-004"],
    ),
    # ------------------------------------------------ unsolicited
    "unsolicited success": (exchange(None, TUNNEL_RESPONSE), ["CB-MSG-004"]),
    "unsolicited error about a request": (exchange(None, error("invalid_tunnel_info")), ["CB-MSG-004"]),
    **{
        f"unsolicited: {code}": (exchange(None, error(code)), [])
        for code in ErrorCode
        if code not in ABOUT_A_REQUEST
    },
    # ------------------------------------------------ frames
    "a binary frame": (exchange(HEARTBEAT, received(HEARTBEAT_RESPONSE, binary=True)), ["CB-WSK-005"]),
    "a broken binary frame": (exchange(HEARTBEAT, received(b"\x00", binary=True)), ["CB-MSG-002"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREACHES)
def test_breaches_name_their_requirement(kind: str) -> None:
    seen, expected = BREACHES[kind]
    breaches = check(seen)
    assert [breach.requirement for breach in breaches] == expected
    for breach in breaches:
        assert find(breach.requirement).id == breach.requirement
        assert breach.expected
        assert breach.seen
        assert breach.requirement != "CB-ERR-001" or "code is an array" in breach.seen or '"bad_request"' in breach.seen
        assert not any(secret in breach.seen + breach.expected for secret in (*seen.secrets, TOKEN))


ANSWERS = st.one_of(
    st.binary(max_size=40),
    JSON,
    st.builds(
        lambda answer, member, value: {**answer, member: value},
        st.sampled_from([*SUCCESSES.values(), error()]),
        st.sampled_from(["type", "status", "version", "features", "code", "message", "client_id", "tunnel_id"]),
        JSON,
    ),
)


@given(request=st.sampled_from([*REQUESTS.values(), None]), answers=st.lists(ANSWERS, max_size=3))
def test_any_answer_is_judged(request: dict[str, Any] | None, answers: list[object]) -> None:
    for breach in check(exchange(request, *answers, tenant="tenant-001", secrets=("tenant-002",))):
        assert find(breach.requirement).id == breach.requirement
