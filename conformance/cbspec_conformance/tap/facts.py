"""From what a side said to rows without tokens: the texts redacted, and the facts that judgements need of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cbspec.protocol.strictjson import depth
from cbspec.redact import LONGEST, MASK, find_tokens, redact, redact_message
from cbspec.tokens.jws import CompactJws
from cbspec_conformance.client.incoming import duplicates
from cbspec_conformance.oracles.referee import is_no_message
from cbspec_conformance.record.decoding import Decoded
from cbspec_conformance.tap.rows import Side, TapHead, TapMessage, TextFacts, TokenFacts

_LONGEST: Final = 64 * 1024  # bytes of a message whose members are recorded
_LONGEST_FAULT: Final = 240
_DEEPEST: Final = 8  # levels of nesting: a relay may refuse more, and the messages of the specification need two
_SHORTEST_TOKEN: Final = 16  # characters: shorter texts may occur by chance
_MOST_TOKENS: Final = 1000  # that are remembered, to redact them
_LONGEST_NAME: Final = 256
_KEPT: Final = ("type", "status", "code")
_COMPARED: Final = frozenset({"tunnel_id", "tenant_id", "client_id", "remote_host", "version", "features", *_KEPT})
"""Members that are compared or shown: only whole tokens are replaced in them, since a host's name looks like a part."""

_HEADERS: Final = (
    "upgrade", "connection", "sec-websocket-version", "sec-websocket-key", "sec-websocket-accept",
    "sec-websocket-extensions", "sec-websocket-protocol",
)  # fmt: skip
_VALUE_OF_QUERY: Final = re.compile(rf"(=)(?!{MASK})[^&\s]+")


@dataclass(slots=True)
class Secrets:
    """The tokens that the tap has seen, in memory only. `numbers` has a number for each."""

    numbers: dict[str, int] = field(default_factory=dict, repr=False)

    def number(self, token: str) -> int:
        """Return the number of a token, a new one for a token that wasn't seen before."""
        if token not in self.numbers and len(self.numbers) >= _MOST_TOKENS:
            self.numbers.pop(next(iter(self.numbers)))
        return self.numbers.setdefault(token, max(self.numbers.values(), default=0) + 1)

    def held(self, text: str) -> bool:
        """Whether a text holds a token that was seen, or another whole one."""
        return bool(find_tokens(text)) or any(token in text for token in self.numbers if self._is_long(token))

    def hidden(self, text: str) -> str:
        """Return a text with the tokens that were seen, and every other whole one, replaced."""
        for token in self.numbers:
            if self._is_long(token):
                text = text.replace(token, MASK)
        for token in find_tokens(text):
            text = text.replace(token, MASK)
        return text

    @staticmethod
    def _is_long(token: str) -> bool:
        return len(token) >= _SHORTEST_TOKEN


def message_row(
    at: float,
    connection: int,
    side: Side,
    text: bytes,
    decoded: Decoded,
    secrets: Secrets,
    *,
    binary: bool = False,
    begun: bool = False,
) -> TapMessage:
    """Return the row of a message; its token is added to `secrets`."""
    facts = _facts(side, text, decoded, secrets, begun=begun)
    cut = len(text) > _LONGEST
    try:
        value = None if cut else _value(decoded.value, secrets)
    except RecursionError:
        value, cut = None, True
    if cut and isinstance(decoded.value, dict):
        value = {name: decoded.value[name] for name in _KEPT if isinstance(decoded.value.get(name), str)}
    shown = redact_message(secrets.hidden(text.decode(errors="backslashreplace")).encode(errors="backslashreplace"))
    fault = redact(secrets.hidden(decoded.fault))[:_LONGEST_FAULT]
    requirement = decoded.requirement
    return TapMessage(at, connection, side, shown, value, requirement, fault, binary, cut, facts)


def head_row(
    at: float, connection: int, side: Side, line: str, headers: Mapping[str, str], secrets: Secrets
) -> TapHead:
    """Return the row of a head. Of other headers than the handshake's, only the name and a token's mask are kept."""
    shown = redact(_VALUE_OF_QUERY.sub(r"\1…", secrets.hidden(line)))
    kept = {name: redact(secrets.hidden(value))[:_LONGEST_NAME] for name, value in headers.items() if name in _HEADERS}
    kept |= {name: MASK for name, value in headers.items() if name not in _HEADERS and secrets.held(value)}
    return TapHead(at, connection, side, shown[-1024:], kept)


def _facts(side: Side, text: bytes, decoded: Decoded, secrets: Secrets, *, begun: bool) -> TextFacts:
    body = decoded.value if isinstance(decoded.value, dict) else {}
    plain = _plain(text, decoded.value)
    if side is Side.RELAY:
        told = body.get("message") if body.get("type") == "error" else None
        return TextFacts(leaks=isinstance(told, str) and secrets.held(told), begun=begun)
    auth = None
    if body.get("type") == "auth":
        token = body.get("token")
        auth = token_facts(token, secrets.number(token)) if isinstance(token, str) else None
    return TextFacts(
        twice=tuple(secrets.hidden(name)[:_LONGEST_NAME] for name in duplicates(text)[:3]),
        token=body.get("type") != "auth" and secrets.held(plain),
        no_message=decoded.requirement == "CB-CMP-001" or (bool(decoded.fault) and is_no_message(text)),
        repeated=_has_repeated(text),
        large=len(text) > LONGEST or depth(text.decode(errors="replace")) > _DEEPEST,
        auth=auth,
    )


def _has_repeated(text: bytes) -> bool:
    """Whether an object in a text has a member twice, with any values."""
    found: list[bool] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(members)
        found.append(len(values) < len(members))
        return values

    try:
        json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return False
    return any(found)


def _plain(text: bytes, value: object) -> str:
    """Return a text with the escapes of JSON decoded, as far as they are."""
    shown = text.decode(errors="replace")
    if "\\" not in shown or value is None:
        return shown
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return shown


def token_facts(token: str, number: int) -> TokenFacts:
    """Return the facts of a token that judgements need; `number` stands for the token."""
    if not token:
        return TokenFacts(number, "empty")
    try:
        parts = CompactJws.split(token.strip())
        headers, claims = parts.headers, parts.claims
    except ValueError:
        return TokenFacts(number, "other")
    tenant = claims.get("tenant_id")
    return TokenFacts(
        number,
        "jwt",
        tenant if isinstance(tenant, str) and len(tenant) <= _LONGEST_NAME else None,
        bool(claims.get("sub")),
        str(headers.get("alg", "none"))[:16],
        _number(claims.get("exp")),
        _number(claims.get("nbf")),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _value(value: Any, secrets: Secrets, member: str = "") -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {secrets.hidden(name): _value(inner, secrets, name) for name, inner in value.items()}
        case list():
            return [_value(inner, secrets, member) for inner in value]
        case str() if member == "token":
            return MASK
        case str():
            text = secrets.hidden(value)
            return text if member in _COMPARED else redact(text)
    return value
