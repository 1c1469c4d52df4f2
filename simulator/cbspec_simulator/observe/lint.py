"""Remarks about a client's messages: how they differ from the specification, whatever the relay does with them. Pure.

A remark judges nothing. Most mistakes of a new client are members or values of another dialect, which a relay may
refuse by a code that says little, or accept. The rules are `RULES`: each has a sentence and a function.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cbspec.protocol.messages import RULES as MESSAGES
from cbspec.protocol.messages import Hello, Role
from cbspec.redact import find_tokens, redact

Body = Mapping[str, Any]

MOST: Final = 8
"""Remarks about one message, at most."""

_LONGEST: Final = 40  # characters of a quoted value
_LARGE: Final = 64 * 1024  # bytes of a message that is read

_MEMBERS: Final = {
    name: tuple(rules.members) for name, rules in MESSAGES.items() if rules.sender is Role.CLIENT
}  # by type of request
_OF_RELAYS: Final = tuple(name for name, rules in MESSAGES.items() if rules.sender is Role.RELAY)
_ENVELOPES: Final = ("payload", "data", "params", "body", "args", "message")
_TYPE_NAMES: Final = ("cmd", "command", "action", "op", "method", "event", "kind", "msg", "message_type", "msg_type")
_TYPES: Final = {
    "hello": ("hi", "handshake", "connect", "init", "hello_request", "client_hello"),
    "auth": ("authenticate", "authentication", "authorize", "login", "auth_request", "token"),
    "tunnel_info": ("tunnel", "create_tunnel", "open_tunnel", "tunnel_request", "register_tunnel", "register", "bind"),
    "heartbeat": ("ping", "pong", "keepalive", "keep_alive", "heart_beat", "heartbeat_request", "hb"),
}
_SYNONYMS: Final = {
    "version": ("protocol_version", "ver", "v", "proto"),
    "features": ("capabilities", "caps", "supports", "extensions"),
    "token": ("jwt", "access_token", "auth_token", "bearer", "authorization", "api_key", "secret", "credentials"),
    "tunnel_id": ("id", "tunnel", "tunnel_name", "name"),
    "tenant_id": ("tenant", "tenant_name", "org_id", "organization", "customer_id"),
    "local_port": ("lport", "port", "src_port", "source_port", "listen_port"),
    "remote_host": ("host", "rhost", "remote_addr", "remote_address", "remote_ip", "target_host", "dst_host"),
    "remote_port": ("rport", "target_port", "dst_port", "dest_port"),
}
"""Names in other dialects for the specification's members; other spellings of the same words are found anyway."""


@dataclass(frozen=True, slots=True)
class LintRule:
    """One kind of difference: its name, what the specification has, and a function that names the member."""

    name: str
    sentence: str
    find: Callable[[Body], Iterator[str]]


@lru_cache(maxsize=1024)
def remarks(text: bytes, tenant: str = "") -> tuple[str, ...]:
    """Return the remarks about a message, each with the member and what the specification has.

    `tenant` is that of the connection's token, "" before auth. No remark contains a token.
    """
    if len(text) > _LARGE:
        return ()
    body = _read(text)
    found = _of_text(text) if body is None else _of_body(body, text, tenant)
    return tuple(dict.fromkeys(redact(remark) for remark in found))[:MOST]


def _read(text: bytes) -> Body | None:
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _of_body(body: Body, text: bytes, tenant: str) -> Iterator[str]:
    for rule in RULES:
        for what in rule.find(body):
            yield f"{what}: {rule.sentence}"
    for name in _twice(text):
        yield f"{_shown(name)} twice with different values: each member occurs once"
    sent = body.get("tenant_id")
    if tenant and body.get("type") == "tunnel_info" and isinstance(sent, str) and sent not in ("", tenant):
        yield f"tenant_id {_shown(sent)}: the token's tenant_id is {_shown(tenant)}"


# ---------------------------------------------------------------------- messages that are JSON objects


def _type_of(body: Body) -> str:
    name = body.get("type")
    return name if isinstance(name, str) else ""


def _plain(name: str) -> str:
    """Return a name without case, underscores and other separators."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _meant(name: str) -> str:
    """Return the type of request that a type of another dialect means, or ""."""
    for own, others in _TYPES.items():
        if _plain(name) in (_plain(own), *map(_plain, others)):
            return own
    return ""


def _type(body: Body) -> Iterator[str]:
    name = _type_of(body)
    if name and name not in _MEMBERS and name not in _OF_RELAYS and (own := _meant(name)):
        yield f'type {_shown(name)} (for "{own}")'


def _relay_type(body: Body) -> Iterator[str]:
    if _type_of(body) in _OF_RELAYS:
        yield f"type {_shown(_type_of(body))}"


def _no_type(body: Body) -> Iterator[str]:
    if "type" in body:
        if not isinstance(body["type"], str):
            yield f"type {_shown(body['type'])}"
        return
    other = next((name for name in body if _plain(name) in ("type", *map(_plain, _TYPE_NAMES))), None)
    yield f"{_shown(other)} instead of type" if other is not None else "no type"


def _envelope(body: Body) -> Iterator[str]:
    if "jsonrpc" in body:
        yield "jsonrpc"
    name = next((each for each in body if each.lower() in _ENVELOPES and isinstance(body[each], dict)), None)
    if name is not None and not _has_own(body):
        yield f"members inside {_shown(name)}"


def _has_own(body: Body) -> bool:
    return any(name in body for name in _MEMBERS.get(_type_of(body), ()))


def _names(body: Body) -> Iterator[str]:
    own = _MEMBERS.get(_type_of(body)) or _MEMBERS.get(_meant(_type_of(body)), ())
    for expected in own:
        if expected in body:
            continue
        spellings = {_plain(expected), *map(_plain, _SYNONYMS.get(expected, ()))}
        other = next((name for name in body if _plain(name) in spellings and name not in ("type", *own)), None)
        if other is not None:
            yield f"{_shown(other)} (for {expected})"


def _version(body: Body) -> Iterator[str]:
    if _type_of(body) == "hello" and "version" in body and body["version"] != "1.0":
        yield f"version {_shown(body['version'])}"


def _features(body: Body) -> Iterator[str]:
    features = body.get("features", [])
    if _type_of(body) != "hello":
        return
    if not isinstance(features, list):
        yield f"features {_shown(features)}"
        return
    for name in features:
        if name not in Hello().features:
            yield f"the feature {_shown(name)}"


def _ports(body: Body) -> Iterator[str]:
    for name in ("local_port", "remote_port"):
        if name in body and not _is_port(body[name]):
            yield f"{name} {_shown(body[name])}"


def _is_port(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 1 <= value <= 65535 and value == int(value)


def _texts(body: Body) -> Iterator[str]:
    for name in ("tunnel_id", "tenant_id", "remote_host"):
        if name in body and not (isinstance(body[name], str) and body[name].strip()):
            yield f"{name} {_shown(body[name])}"


def _status(body: Body) -> Iterator[str]:
    for name in ("status", "success", "ok"):
        if name in body and _type_of(body) in _MEMBERS:
            yield f"{name} {_shown(body[name])}"


def _token(body: Body) -> Iterator[str]:
    token = body.get("token")
    if _type_of(body) != "auth" or "token" not in body:
        return
    if not isinstance(token, str):
        yield "a token that is no string"
    elif token.lower().startswith("bearer "):
        yield 'a token that begins with "Bearer "'
    elif token.count(".") != 2:
        yield "a token that hasn't three parts" if token else "an empty token"


def _token_elsewhere(body: Body) -> Iterator[str]:
    if _type_of(body) in ("hello", "tunnel_info", "heartbeat"):
        for name, value in body.items():
            if isinstance(value, str) and find_tokens(value):
                yield f"a token in {_shown(name)}"


RULES: Final = (
    LintRule("no-type", "each message has a string type: hello, auth, tunnel_info or heartbeat", _no_type),
    LintRule("type", "the types of a client are hello, auth, tunnel_info and heartbeat, in this spelling", _type),
    LintRule("relay-type", "only relays send this type", _relay_type),
    LintRule("envelope", "the members are next to type, in one object", _envelope),
    LintRule("names", "the specification's name is the one in parentheses", _names),
    LintRule("version", 'the specification has the string "1.0" (2.0 is the version of the document)', _version),
    LintRule(
        "features", "the specification has an array of tls, heartbeat, tunnel_info, multi_tenancy, metrics", _features
    ),
    LintRule("ports", "the specification has a whole number from 1 to 65535", _ports),
    LintRule("texts", "the specification has a string that isn't empty", _texts),
    LintRule("status", 'no request has it; a relay\'s answers have the status "ok"', _status),
    LintRule("token", "the specification has the JWT itself, as a string", _token),
    LintRule("token-elsewhere", "only auth has a token", _token_elsewhere),
)
"""The rules for messages that are JSON objects."""


# ---------------------------------------------------------------------- other texts

_JSON: Final = "each message is one JSON object in UTF-8"
_BEGINNINGS: Final = (
    (codecs.BOM_UTF8, "a byte order mark"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
    (b"{\0", "UTF-16"),
    (b"\0{", "UTF-16"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"[", "an array"),
    (b"GET ", "an HTTP request"),
    (b"POST ", "an HTTP request"),
)
_STRING: Final = rb'"(?:[^"\\]|\\.)*+"'
_NEAR: Final = (
    (rb",\s*[}\]]", "a comma before a closing bracket"),
    (rb"//|/\*|#", "a comment"),
    (rb"'", "single quotes"),
    (rb"[{,]\s*[A-Za-z_]\w*\s*:", "a member's name without quotes"),
    (rb"\b(?:NaN|Infinity|undefined|None|True|False)\b", "a value that JSON doesn't have"),
    (rb"\}\s*\{", "several objects in one message"),
)


def _of_text(text: bytes) -> Iterator[str]:
    """Yield the remark about a text that is no JSON object."""
    for beginning, what in _BEGINNINGS:
        if text.startswith(beginning):
            yield f"{what}: {_JSON}"
            return
    before = text.partition(b"{")[0]
    if 0 < len(before) <= 8 and before != text and (b"\0" in before or not before.isascii()):
        yield f"{len(before)} bytes before the object (a length?): no message has a length before it"
        return
    try:
        text.decode()
    except UnicodeDecodeError as error:
        yield f"a byte that isn't UTF-8 at {error.start}: {_JSON}"
        return
    bare = re.sub(_STRING, b'""', text)
    yield f"{next((what for form, what in _NEAR if re.search(form, bare)), 'no JSON object')}: {_JSON}"


def _twice(text: bytes) -> Iterator[str]:
    found: list[str] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for name, value in members:
            if name in seen and seen[name] != value:
                found.append(name)
            seen[name] = value
        return seen

    json.loads(text, object_pairs_hook=pairs)
    yield from found


def _shown(value: object) -> str:
    """Return a value in JSON's spelling, cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
