"""Rules for every situation: the client's messages, its token, and the end of its process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from cbspec.tokens.jws import claims_of
from cbspec_conformance.client.frames import ClientFrames
from cbspec_conformance.client.incoming import CLIENT_TYPES, ClientMessage, duplicates
from cbspec_conformance.client.observed import ClientConnection
from cbspec_conformance.client.rules.case import SituationCase

_PORT_MAX: Final = 65535
_BEATS_A_SECOND: Final = 10
_JWT: Final = re.compile(rb"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+")


def judge_always(case: SituationCase, token: str) -> None:
    """Judge the rules that hold in every situation; `token` is the client's own."""
    for connection in case.seen.connections:
        if connection.deflated:
            continue
        _order(case, connection)
        for message in connection.messages:
            _message(case, message, token)
        if connection.incoming.frames is not None:
            _frames(case, connection, connection.incoming.frames, token)
        if b"{" in connection.handshake.plain or b"GET " in connection.handshake.plain:
            begin = connection.handshake.plain[:40]
            case.broken("CC-TLS-003", "nothing but TLS on the connection", f"plain text: {begin!r}")
    _process(case)
    if case.seen.leaks:
        line = case.seen.leaks[0]
        case.broken("CC-TOK-002", "no token in the output", f"{line.stream}: {line.text:.80}")
    if case.seen.connections and any(each.messages for each in case.seen.connections):
        for id_ in ("CC-HEL-001", "CC-MSG-001", "CC-MSG-002", "CC-MSG-004", "CC-TOK-001", "CC-TOK-002"):
            case.passed(id_)


def _order(case: SituationCase, connection: ClientConnection) -> None:
    types = [message.type for message in connection.messages]
    rest = connection.incoming.rest.strip()
    if rest and not rest.startswith(b"{"):  # the beginning of an object may be cut off by the end of the watch
        case.broken("CC-MSG-001", "one JSON object in UTF-8", f"bytes that begin no object: {rest[:20]!r}")
    if types and types[0] in CLIENT_TYPES[1:]:  # a broken message is blamed on another requirement
        case.broken("CC-HEL-001", "hello as the first message of each connection", types[0])
    if "tunnel_info" in types:
        if "auth" not in types[: types.index("tunnel_info")]:
            case.broken("CC-AUT-002", "auth before tunnel_info", "tunnel_info without an auth before it")
        else:
            case.passed("CC-AUT-002")


def _message(case: SituationCase, message: ClientMessage, token: str) -> None:
    if message.fault:
        case.broken(message.requirement, "one JSON object in UTF-8", message.fault)
        return
    if message.type not in CLIENT_TYPES:
        named = f"the type {message.type!r:.40}" if message.type else "no type"
        case.broken("CC-MSG-002", f"a type of {', '.join(CLIENT_TYPES)}", f"a message with {named}")
        return
    if twice := message.twice or duplicates(message.text):
        case.broken("CC-MSG-004", "each member once", f"{message.type} has {twice[0]} twice")
    requirement, faults = _MEMBERS.get(message.type, ("", _no_faults))
    if requirement:
        if fault := faults(message.body):
            case.broken(requirement, f"a {message.type} with all its members", fault)
        else:
            case.passed(requirement)
    if message.type == "tunnel_info":
        _tenant(case, message, token)
    if message.type != "auth" and (message.holds_token or _JWT.search(message.text)):
        case.broken("CC-TOK-001", "the token in auth only", f"a token in {message.type}")


def _tenant(case: SituationCase, message: ClientMessage, token: str) -> None:
    own, sent = claims_of(token).get("tenant_id"), message.body.get("tenant_id")
    if sent == own:
        case.passed("CC-TUN-002")
    elif isinstance(sent, str):
        case.broken("CC-TUN-002", f'the token\'s tenant_id "{own}"', f'the tenant_id "{sent:.60}"')


def _no_faults(_: Mapping[str, Any]) -> str:
    return ""


def _hello(body: Mapping[str, Any]) -> str:
    return _string(body, "version") or _features(body)


def _features(body: Mapping[str, Any]) -> str:
    if "features" not in body:
        return "features is missing"
    value = body["features"]
    is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return "" if is_list else "features isn't an array of strings"


def _auth(body: Mapping[str, Any]) -> str:
    return _string(body, "token")


def _tunnel(body: Mapping[str, Any]) -> str:
    for name in ("tunnel_id", "tenant_id", "remote_host"):
        if fault := _string(body, name):
            return fault
    return _port(body, "local_port") or _port(body, "remote_port")


def _string(body: Mapping[str, Any], name: str) -> str:
    if name not in body:
        return f"{name} is missing"
    return "" if isinstance(body[name], str) else f"{name} isn't a string"


def _port(body: Mapping[str, Any], name: str) -> str:
    if name not in body:
        return f"{name} is missing"
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        return f"{name} isn't a whole number"
    return "" if 0 <= value <= _PORT_MAX else f"{name} is {int(value)}"


_MEMBERS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = {
    "hello": ("CC-HEL-002", _hello),
    "auth": ("CC-AUT-001", _auth),
    "tunnel_info": ("CC-TUN-001", _tunnel),
}


def _frames(case: SituationCase, connection: ClientConnection, frames: ClientFrames, token: str) -> None:
    if not frames.request:
        return
    if fault := frames.request_fault:
        case.broken("CC-WSK-001", "an upgrade request of RFC 6455", fault)
    else:
        case.passed("CC-WSK-001")
    if token in frames.request or any(token in value for value in frames.headers.values()):
        case.broken("CC-TOK-001", "the token in auth only", "the token in the upgrade request")
    if not frames.frames:
        return
    masks = frames.masks
    if frames.unmasked:
        case.broken("CC-WSK-002", "masked frames", "a frame without a mask")
    elif len(masks) > 2 and len(set(masks)) < len(masks) // 2 + 1:
        case.broken("CC-WSK-002", "a fresh mask for each frame", f"{len(masks)} frames with {len(set(masks))} masks")
    else:
        case.passed("CC-WSK-002")
    if forbidden := frames.forbidden:
        case.broken("CC-WSK-005", "no reserved bit or opcode", forbidden)
    else:
        case.passed("CC-WSK-005")
    if any(message.binary for message in connection.messages):
        case.broken("CC-WSK-007", "text frames", "a message in a binary frame")
    else:
        case.passed("CC-WSK-007")


def _process(case: SituationCase) -> None:
    end = case.seen.exit
    if end is None:
        return
    if end.asked is None and end.signal:
        case.broken("CC-REF-006", "no abort, whatever the relay answers", f"ended by {end.signal}")
    else:
        case.passed("CC-REF-006")
    if end.killed:
        case.broken("CC-LIF-001", f"the end within {case.profile.stop_time:g} s of SIGTERM", "it had to be killed")
    elif end.asked is not None:
        case.passed("CC-LIF-001")
