"""The invariants: rules that hold for every exchange of every case, each with its own requirement.

`check` is a pure function of an exchange.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

import cbspec_schemas
from cbspec.protocol.messages import WITH_STATUS
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec.redact import find_tokens
from cbspec_conformance.judging.judge import describe, is_success, named, silence
from cbspec_conformance.record.conclusions import Breach, Silence
from cbspec_conformance.record.exchange import ABOUT_A_REQUEST, UNASKED, Exchange, Redaction, matches
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.record.transcript import Message

_LONGER_THAN_WORDS = 16  # letters: shorter words may occur in a text by chance
_SHORTEST_TOKEN = 16  # characters: shorter strings may occur in a text by chance


def check(exchange: Exchange, redaction: Redaction | None = None) -> list[Breach]:
    """Return every violation that the exchange shows; `redaction` are its facts if they are known (see there)."""
    redaction = redaction or exchange.redaction or redaction_of(exchange)
    breaches: list[Breach] = []
    for number, message in enumerate(exchange.answers):
        breaches += _message(number, message, exchange, redaction)
    breaches += _count(exchange)
    breaches += _fence(exchange)
    return breaches


def redaction_of(exchange: Exchange) -> Redaction:
    """Return the facts about an exchange that can't be computed from a saved transcript."""
    texts = [answer.member("message") if answer.type == "error" else None for answer in exchange.answers]
    secrets = _secrets(exchange) if any(isinstance(text, str) for text in texts) else []
    leaking = [
        number
        for number, text in enumerate(texts)
        if isinstance(text, str) and any(_holds(text, secret) for secret in secrets)
    ]
    request = exchange.request
    return Redaction(tuple(leaking), request is not None and _has_no_subject(request))


def _fence(exchange: Exchange) -> Iterator[Breach]:
    """Check that a heartbeat sent as a fence was answered."""
    request = exchange.request
    if request is None or request.meant != "fence" or request.type != "heartbeat":
        return
    if exchange.silence is Silence.UNRESPONSIVE and exchange.relay_alive and not exchange.answers:
        yield Breach("CB-HBT-001", "a heartbeat_response", silence(exchange))


def _message(number: int, message: Message, exchange: Exchange, redaction: Redaction) -> Iterator[Breach]:
    if message.decoded.requirement:
        yield Breach(
            message.decoded.requirement,
            "one JSON object in UTF-8, not compressed",
            f"{describe(message)}: {quoted(message.text[:240])}",
        )
        return
    refusal = message.type in WITH_STATUS and message.member("status") not in ("ok", None)
    for violation in cbspec_schemas.violations("relay", message.value):
        if refusal and violation.path != "/status":
            continue  # a refusal need not name the tenant
        yield Breach(violation.requirement, "a message as the schema of its type describes it", violation.text)
    if message.padded:
        yield Breach("CB-WSK-002", "a frame whose length is encoded in as few bytes as possible", "one that takes more")
    if message.binary:
        yield Breach("CB-WSK-005", "a text frame", f"a binary frame that holds {describe(message)}")
    if message.type == "error":
        yield from _error(message, leaks=number in redaction.leaking)
    elif is_success(message) and message is exchange.answer:
        yield from _success(message, exchange, redaction)


def _error(message: Message, *, leaks: bool) -> Iterator[Breach]:
    text = message.member("message")
    if not isinstance(text, str):
        return
    if not text.strip():
        yield Breach("CB-ERR-003", "a message that is not empty", "an empty one")
    if leaks:
        yield Breach(
            "CB-ERR-004",
            "a message without token, secret or another tenant's identifier",
            "a message that holds one",
        )


def _secrets(exchange: Exchange) -> list[str]:
    """Return strings that no error text may hold: the token, and secrets that the client didn't send."""
    request = exchange.request
    token = request.member("token") if request is not None else None
    known = [exchange.tenant, request.text.decode(errors="replace") if request is not None else ""]
    if isinstance(token, str):
        known.append(_claims(token))
    tokens = [token] if isinstance(token, str) and len(token) >= _SHORTEST_TOKEN else []
    if request is not None and not isinstance(token, str):
        tokens = find_tokens(request.text.decode(errors="replace"))  # a malformed request may hold one, too
    return [*tokens, *(secret for secret in exchange.secrets if not any(secret in text for text in known))]


def _claims(token: str) -> str:
    """Return the text of a token's claims, with any signature; "" if it has none."""
    segments = token.split(".")
    try:
        return base64.urlsafe_b64decode(segments[1] + "===").decode(errors="replace")
    except (IndexError, ValueError):
        return ""


def _has_no_subject(request: Message) -> bool:
    """Whether a request's token has no subject: a client_id derived from it may be empty then."""
    token = request.member("token")
    try:
        claims = json.loads(_claims(token)) if isinstance(token, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and not claims.get("sub")


def _holds(text: str, secret: str) -> bool:
    """Whether `secret` occurs in `text` as a separate word; a short word of letters only as a name.

    A word, as "slow", may occur in any text by chance. It is a name in quotation marks or after the word tenant.
    """
    if secret not in text:
        return False  # as in most texts: a plain search through 2 MB is a thousand times faster
    word = rf"(?<![\w-]){re.escape(secret)}(?![\w-])"
    if secret.isalpha() and len(secret) < _LONGER_THAN_WORDS:
        word = rf"""(?i:\btenants?(?:_id|_ids)?)\W{{1,4}}{word}|(["'`]){word}\1"""
    return re.search(word, text) is not None


def _success(message: Message, exchange: Exchange, redaction: Redaction) -> Iterator[Breach]:
    request = exchange.request
    if message.type == "hello_response" and isinstance(message.member("version"), str):
        # The specification doesn't say how a hello with another version is answered.
        asked_for = request.member("version") if request is not None else "1.0"
        if asked_for == "1.0" and message.member("version") != "1.0":
            yield Breach("CB-HEL-004", 'version "1.0"', f"version {quoted(message.member('version'), 40)}")
    elif message.type == "auth_response":
        if message.member("client_id") == "" and not redaction.nameless:
            yield Breach("CB-AUT-004", "a client_id that is not empty", "an empty one")
        tenant = message.member("tenant_id")
        if exchange.tenant and isinstance(tenant, str) and tenant != exchange.tenant:
            expected = f"tenant_id {quoted(exchange.tenant)}, the token's"
            yield Breach("CB-AUT-003", expected, f"tenant_id {quoted(tenant, 80)}")
    elif message.type == "tunnel_response" and request is not None and request.type == "tunnel_info":
        if request.decoded.fault:
            return  # a request that was sent in pieces is judged by its case
        asked, answered = request.member("tunnel_id"), message.member("tunnel_id")
        if isinstance(asked, str) and isinstance(answered, str) and asked != answered:
            yield Breach("CB-TUN-002", f"tunnel_id {quoted(asked, 80)}, as asked", f"tunnel_id {quoted(answered, 80)}")


def _came_unasked(message: Message, request: Message, *, before_its_answer: bool) -> bool:
    if message.type != "error" or message.member("code") in UNASKED:
        return message.type == "error"
    about = request.type in ("hello", "auth") or message.member("code") in ABOUT_A_REQUEST
    return before_its_answer and not about


def _count(exchange: Exchange) -> Iterator[Breach]:
    """Check for surplus and unasked answers. A broken message counts once, as such.

    An error before the answer that matches the request by type and id came unasked, unless its code is about a request.
    """
    if any(message.decoded.requirement for message in exchange.answers):
        return
    request, answer = exchange.request, exchange.answer
    if request is None:
        for message in exchange.answers:
            if message.type != "error" or message.member("code") in ABOUT_A_REQUEST:
                yield Breach(
                    "CB-MSG-004", "nothing unasked but errors about the relay", f"unasked: {describe(message)}"
                )
                return
        return
    before = exchange.answers.index(answer) if answer is not None and matches(request, answer) else 0
    answers = [m for n, m in enumerate(exchange.answers) if not _came_unasked(m, request, before_its_answer=n < before)]
    if request.decoded.fault:
        # A relay may take a malformed request for several: each may draw an error, none a success.
        answers = [message for message in answers if message is exchange.answer or message.type != "error"]
    if len(answers) > 1:
        asked = request.type or "request"
        kind = f" ({named(SUCCESS_TYPES[asked])} or an error)" if asked in SUCCESS_TYPES else ""
        yield Breach(
            "CB-MSG-004",
            f"at most one answer to {named(asked)}{kind}",
            "; then ".join(describe(message) for message in exchange.answers[:4]),
        )
