"""What every exchange of every case must keep, each blamed on its own requirement.

`check` is a pure function of an exchange: whatever a case is about, a violation seen on the way is found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import schemas
from conformance.exchange import SUCCESS, Exchange
from conformance.judge import describe, is_success, named
from conformance.transcript import Message

_UNASKED = {"server_unavailable", "rate_limit_exceeded", "connection_limit_reached"}


@dataclass(frozen=True, slots=True)
class Breach:
    """A violation of `requirement`: what was expected and what was seen."""

    requirement: str
    expected: str
    seen: str


def check(exchange: Exchange) -> list[Breach]:
    """Return every violation that the exchange shows."""
    breaches: list[Breach] = []
    for message in exchange.answers:
        breaches += _message(message, exchange)
    breaches += _count(exchange)
    return breaches


def _message(message: Message, exchange: Exchange) -> Iterator[Breach]:
    if message.decoded.requirement:
        yield Breach(
            message.decoded.requirement,
            "one JSON object in UTF-8, not compressed",
            f"{describe(message)}: {_preview(message)}",
        )
        return
    for violation in schemas.violations("relay", message.value):
        yield Breach(violation.requirement, "a message as the schema of its type describes it", violation.text)
    if message.binary:
        yield Breach("CB-WSK-005", "a text frame", f"a binary frame that holds {describe(message)}")
    if message.type == "error":
        yield from _error(message, exchange)
    elif is_success(message):
        yield from _success(message, exchange)


def _error(message: Message, exchange: Exchange) -> Iterator[Breach]:
    text = message.member("message")
    if not isinstance(text, str):
        return
    if not text.strip():
        yield Breach("CB-ERR-003", "a message that is not empty", "an empty one")
    if any(secret in text for secret in exchange.secrets):
        yield Breach(
            "CB-ERR-004",
            "a message without token, secret or another tenant's identifier",
            f"one of {len(text)} characters that holds one",
        )


def _success(message: Message, exchange: Exchange) -> Iterator[Breach]:
    request = exchange.request
    if message.type == "hello_response" and isinstance(message.member("version"), str):
        if message.member("version") != "1.0":
            yield Breach("CB-HEL-004", 'version "1.0"', f"version {message.member('version')[:40]!r}")
    elif message.type == "auth_response":
        if message.member("client_id") == "":
            yield Breach("CB-AUT-004", "a client_id that is not empty", "an empty one")
        told = message.member("tenant_id")
        if exchange.tenant and isinstance(told, str) and told != exchange.tenant:
            yield Breach("CB-AUT-003", f"tenant_id {exchange.tenant!r}, the token's", f"tenant_id {told[:80]!r}")
    elif message.type == "tunnel_response" and request is not None and request.type == "tunnel_info":
        asked, told = request.member("tunnel_id"), message.member("tunnel_id")
        if isinstance(asked, str) and isinstance(told, str) and asked != told:
            yield Breach("CB-TUN-002", f"tunnel_id {asked[:80]!r}, as asked", f"tunnel_id {told[:80]!r}")


def _count(exchange: Exchange) -> Iterator[Breach]:
    """More than one answer, or one that nobody asked for. A broken-up message counts once, as what it is."""
    readable = [message for message in exchange.answers if not message.decoded.requirement]
    surplus = [message for message in readable if message is not exchange.answer or exchange.request is None]
    surplus = [message for message in surplus if message.member("code") not in _UNASKED]
    if exchange.request is not None and exchange.request.decoded.fault:
        # What is no message may be taken for several: each may draw an error, none a success.
        surplus = [message for message in surplus if message.type != "error"]
    if not surplus or any(message.decoded.requirement for message in exchange.answers):
        return
    if exchange.request is None:
        yield Breach("CB-MSG-004", "nothing unasked but an error", f"unasked: {describe(surplus[0])}")
    elif len(readable) > 1:
        asked = exchange.request.type or "request"
        kind = f" ({named(SUCCESS[asked])} or an error)" if asked in SUCCESS else ""
        yield Breach(
            "CB-MSG-004",
            f"at most one answer to {named(asked)}{kind}",
            "; then ".join(describe(message) for message in exchange.answers[:4]),
        )


def _preview(message: Message) -> str:
    return repr(message.text[:60]) + ("…" if len(message.text) > 60 else "")
