"""Conversations with a relay in memory: hand-written bytes and situations, and everything that comes back.

A conversation is a list of turns: a connection's name, and what it sends or one of the commands below. If a name begins
with "w", the connection is a WebSocket: messages are framed, and the handshake comes before them. An address can follow
the name after "@".
"""

from __future__ import annotations

import hmac
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from cbspec.profile.target import Rate, Tenant
from cbspec.tokens.jws import CompactJws, RawNumber, encode
from cbspec.tokens.jwt import SigningKey
from cbspec_conformance.relay.message_types.test_sequences import KNOWN
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.parts import Change
from tests.support import client
from tests.support.client import UPGRADE
from tests.support.memory import BEAT, HELLO, KEY, NOW, Body, MemoryClient, MemoryRelay, auth, token, tunnel
from tests.support.messages import line

END, RESET, CLOSE, REACHED, UNREACHED, DRAIN, SERVE = (object() for _ in range(7))
"""The client ends or resets its connection, the relay closes it, a dial succeeds or fails, the relay drains or not."""

Turn = tuple[object, ...]
"""A connection's name, and what it does: bytes, messages, commands, or numbers (seconds to wait)."""

TENANTS = (
    Tenant("a"),
    Tenant("b"),
    Tenant("tunnels", tunnel_limit=2),
    Tenant("tunnels-2", tunnel_limit=2),
    Tenant("connections", connection_limit=2),
    Tenant("connections-2", connection_limit=2),
    Tenant("rate", rate=Rate(1.0, 20, "tenant")),
    Tenant("rate-2", rate=Rate(1.0, 20, "tenant")),
    Tenant("rate-fast", rate=Rate(2.0, 40, "tenant")),
    Tenant("here", allowed_addresses=("127.0.0.0/8", "::1/128")),
    Tenant("elsewhere", allowed_addresses=("192.0.2.0/24",)),
    Tenant("asleep", active=False),
)


class Dialogue(NamedTuple):
    """Turns of connections, and the settings of the relay."""

    turns: list[Turn]
    settings: Mapping[str, Any] = {}


def play(conversation: Dialogue, change: Change, config: Config) -> Iterator[tuple[object, ...]]:
    """Give the effects of each step: bytes sent, closes, dials and failures."""
    config = replace(config, tenants=config.tenants or TENANTS)
    memory = MemoryRelay(*config.tenants, change=change, config=config, **conversation.settings)
    clients: dict[str, MemoryClient] = {}
    for turn in conversation.turns:
        name, steps, websocket = str(turn[0]), turn[1:], str(turn[0]).startswith("w")
        if name not in clients:
            clients[name] = memory.client(name.partition("@")[2] or "127.0.0.1", websocket=websocket)
            steps = steps if not websocket or isinstance(steps[0], bytes) else (OPENING, *steps)
        talker = clients[name]
        for step in steps:
            try:
                _take(memory, talker, frame(step) if websocket and isinstance(step, dict) else step)
            except (RuntimeError, SystemExit) as failure:
                yield name, type(failure).__name__
                continue
            yield name, re.sub(rb"Date: [^\r]*", b"", talker.raw), talker.closed, str(talker.io_requests)


def _take(memory: MemoryRelay, client: MemoryClient, step: object) -> None:
    client.raw = b""
    if isinstance(step, int | float):
        memory.time += step
    elif step is DRAIN or step is SERVE:
        memory.relay.drain(step is DRAIN)
    elif step is END or step is RESET:
        client.session.end(reset=step is RESET)
    elif step is CLOSE:
        client.take(client.session.close())
    elif step is REACHED or step is UNREACHED:
        client.dialled(step is REACHED)
    else:
        client.send(step if isinstance(step, bytes) else line(step))


# ---------------------------------------------------------------- pieces

_BEAT_TEXT = line(BEAT).strip()
_UNKNOWN = {"type": "unknown"}
OPENING = UPGRADE + b"\r\n"


def frame(payload: bytes | Body, first: int = 0x81) -> bytes:
    """Return a frame whose mask is zero."""
    return client.frame(payload if isinstance(payload, bytes) else line(payload).strip(), first, bytes(4))


def opened(tenant: str = "a", *tunnels: str, **claims: object) -> list[Body]:
    """Authenticate, and request tunnels."""
    return [HELLO, auth(tenant, **claims), *(tunnel(name, tenant) for name in tunnels)]


def each(*messages: object, first: Sequence[object] = (), then: object = BEAT) -> list[Turn]:
    """Send each message on a new connection, after and before others."""
    return [(str(place), *first, what, then) for place, what in enumerate(messages)]


def with_tokens(*tokens: object) -> list[Turn]:
    """Send each token on a new connection, and request a tunnel."""
    auths = ({"type": "auth"} if token is ... else {"type": "auth", "token": token} for token in tokens)
    return each(*auths, first=[HELLO], then=tunnel())


def script(text: str) -> list[Turn]:
    """Return turns, divided by ";": "name tenant tunnel ...", "name END", "name RESET" or "name HELLO"."""
    commands = {"END": END, "RESET": RESET, "HELLO": HELLO}
    turns = (turn.split() for turn in text.split(";"))
    return [(name, *([commands[what]] if what in commands else opened(what, *rest))) for name, what, *rest in turns]


def _token(signature: bytes | None = None, payload: Mapping[str, object] | None = None, **headers: object) -> str:
    """Return a token with another signature, another payload under the old signature, or other headers."""
    claims = CompactJws.split(token())
    parts = CompactJws.signed({"alg": "HS256", "typ": "JWT", **headers}, claims.payload, KEY.sign)
    if payload is not None:
        parts = replace(parts, payload=json.dumps({**claims.claims, **payload}).encode())
    return str(parts if signature is None else replace(parts, signature=signature))


def _by(secret: str) -> SigningKey:
    return SigningKey.hmac(secret)


def _by_hmac(secret: bytes, kid: str = "", **claims: object) -> str:
    """Return a token whose HMAC has any secret."""
    valid = CompactJws.split(token(**claims))
    header = {**valid.headers, **({"kid": kid} if kid else {})}
    return str(CompactJws.signed(header, valid.payload, lambda data: hmac.digest(secret, data, "sha256")))


def _signature() -> bytes:
    return CompactJws.split(token()).signature


def _half_signature() -> bytes:
    return _signature()[:16] + bytes(16)


def _with_other_bytes() -> bytes:
    signature = CompactJws.split(token()).signature
    return signature[:8] + bytes(4) + signature[12:]


def _port(text: bytes) -> bytes:
    return line(tunnel()).replace(b'"remote_port":3389', b'"remote_port":' + text)


_TUNNELS: tuple[Mapping[str, Any], ...] = (
    *(
        {"tunnel_id": value}
        for value in (..., None, 5, {"x": 1}, ["x"], "", "naïve \u212b ½ 👍 <&amp;\"'> %41 {{x}} \\u0041")
    ),
    {"tunnel_id": " t  u "},
    {"tunnel_id": "a/b#c\0d"},
    *(
        {member: value}
        for member in ("local_port", "remote_port")
        for value in (..., None, True, "3389", [1], 0, -1, 1, 65_535, 65_536, 70_500, 3389.0, 3389.5, 0.5, 2**32 + 5)
    ),
    *({"remote_host": value} for value in (..., None, 5, {"x": 1}, "", " ")),
    *(
        {"tenant_id": value}
        for value in (..., None, 5, ["a"], "", "b", "asleep", "A", "zzz", "a1", "a ", "a\0", "\uff41")
    ),
)

_NOT_JSON = (
    b'{"type":"heartbeat",}\n',
    b'{,"type":"heartbeat"}\n',
    b'{"type" "heartbeat"}\n',
    b'{"type"="heartbeat"}\n',
    b'{type:"heartbeat"}\n',
    b'{"type":"heartbeat","x":NaN}\n',
    b'{"type":"heartbeat","x":undefined}\n',
    b'{"type":"heartbeat","x":True}\n',
    b'{"type":"heartbeat","x":"\\x41"}\n',
    b'{"type":"heartbeat","x":1.}\n',
    b'{\f"type":"heartbeat"}\n',
    b"\xef\xbb\xbf" + _BEAT_TEXT + b"\n",
    _port(b"03389"),
    _port(b"+3389"),
    _port(b"0xd3d"),
    b'{"type":"heartbeat","x":"\xc0\xaf"}\n',
    b'{"type":"heartbeat","x":"\xf4\x90\x80\x80"}\n',
    '{"type":"heartbeat"}\n'.encode("utf-16-be"),
    _BEAT_TEXT.decode().encode("utf-32-le") + b"\n",
    zlib.compress(_BEAT_TEXT) + b"\n",
    b"[]\n",
    b"\0" * 4096 + b"\n",
    b"\xff\x00\x13" * 100 + b"\n",
    b'{"type":"heartbeat","x":' + b"9" * 6000 + b"}\n",
    b'{"type":"heartbeat"' + b',"a":1' * 2000 + b"}\n",
    b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n",
    b"\n" * 2000,
    b'{"x":' * 100 + b"\n",
    b'{"type":"' + b"x" * 1_100_000 + b'"}\n',
)

_VALID = (
    b'{"type":"heartbeat","x":"\\/ \\u00E9 \\ud83d\\ude00 \\ud83d\\ude40"}\n',
    b'{"type" : "heartbeat"}\n',
    b'{\t"type":"heartbeat"}\n',
    '{"type":"heartbeat","x":"\u2028"}\n'.encode(),
    b'{"type":"heartbeat","x":[ 1 ]}\n',
    line(dict(reversed(tunnel().items()))),
    b'{"type":"heartbeat","x":"{"}\n',
    b'{"type":"heartbeat","x":"' + b"[" * 40 + b'"}\n',
    b'{"TYPE":"heartbeat"}\n',
)

_FEATURES: tuple[object, ...] = (None, "tls", {}, [1], [], ["a", "b", "c"])

_TYPES = ("heartbeat ", "ping", "HEARTBEAT", "hello_response", ["heartbeat"], None, 5)

INPUTS: Mapping[str, Any] = {
    "hello": HELLO,
    "hello 2.0": {**HELLO, "version": "2.0"},
    "hello without version": {"type": "hello", "features": []},
    "auth A": auth(),
    "auth B": auth("b"),
    "auth, expired": auth(exp=NOW - 700),
    "auth, wrong signature": {"type": "auth", "token": _token(bytes(32))},
    "auth, no JWT": {"type": "auth", "token": "not-a-token"},
    "auth, no token": {"type": "auth"},
    "auth, unknown tenant": auth("zzz"),
    "auth, inactive tenant": auth("asleep"),
    "tunnel A": tunnel(),
    "tunnel B": tunnel("t", "b"),
    "tunnel of no tenant": tunnel("t", "zzz"),
    "tunnel to port 0": tunnel(remote_port=0),
    "heartbeat": BEAT,
    "heartbeat, split": BEAT,
    "unknown type": _UNKNOWN,
    "malformed": b'{"type": heartbeat}\n',
}
"""The inputs of `cbspec learn` on one connection."""

# ---------------------------------------------------------------- conversations

RARE = {
    "rare heartbeats": Dialogue([("1", *opened(), *[_port(b"0")] * 4, BEAT)]),
    "rare signatures": Dialogue(with_tokens(_token(_with_other_bytes()))),
    "rare identifiers": Dialogue([("1", *opened("a", *(f"t{at}" for at in range(1200))))], {"buffer_pool": None}),
    "rare escapes": Dialogue([("1", *opened(), line(tunnel()).replace(b'"t"', b'"\\ud83d\\ude00"'))]),
}
"""Conversations that show the rare deviations."""

SEQUENCES = {
    "known sequences": Dialogue(
        [
            (f"{number} {requirement}", *(INPUTS[each] for each in word))
            for requirement, words in KNOWN.items()
            for number, word in enumerate(words.values())
            if "resume" not in word
        ]
    ),
}
"""The conversation that shows the deviations after certain messages."""

CONVERSATIONS = {
    "a session": Dialogue(
        [
            ("1", *opened("a", "t", "u", "v"), *[BEAT] * 9),
            ("1", _UNKNOWN, BEAT, tunnel("x", remote_port=0), BEAT, HELLO, tunnel("w"), CLOSE),
        ]
    ),
    "hellos": Dialogue(
        each(
            *({"type": "hello", "version": version, "features": ["tls"]} for version in (None, 1, ["1.0"], "2.0")),
            *({"type": "hello", "version": "1.0", "features": value} for value in _FEATURES),
            {"type": "hello", "features": []},
            {"type": "hello", "version": "1.0"},
        )
    ),
    "early messages": Dialogue(each(auth(), BEAT, tunnel(), _UNKNOWN)),
    "early messages after hello": Dialogue(each(BEAT, tunnel(), _UNKNOWN, first=[HELLO])),
    "tokens": Dialogue(
        with_tokens(
            *(token(exp=when) for when in (0, NOW - 30, NOW - 200, NOW - 0.5)),
            *(token(nbf=NOW + seconds) for seconds in (30, 200)),
            *(token(exp=None), token(iat=NOW + 3600), token(sub=None), token(jti="1"), token(jti="1"), token()),
            *(_token(payload={"tenant_id": "b"}), _token(b""), _token(bytes(32)), _token(_half_signature())),
            *(token(key=_by("secret")), _token(alg="HS512"), token(key=SigningKey.hmac(KEY.private, "HS384"))),
            *(_token(b"", alg="none"), _token(b"", alg="NONE"), _token(alg="RS256"), _token(crit=["x"], x=1)),
            f"{encode(b'{}')}.{token().split('.')[1]}.",
            token(key=_by("own"), headers={"alg": "HS256", "jwk": {"kty": "oct", "k": encode(b"own")}}),
            _token(bytes(32), jwk={"kty": "RSA", "n": "AQ", "e": "AQAB"}),
            *("nonsense", '{"sub":"u","tenant_id":"a"}', token().rpartition(".")[0], token() + "="),
            *("", 5, None, [token()], ...),
        )
    ),
    "times": Dialogue(
        with_tokens(
            *(token(exp=RawNumber(text)) for text in ("-1", "0.5", f"{NOW + 60 - 2**32}", "1e309", f"{2**33}")),
            *(token(nbf=RawNumber(text)) for text in (f"{NOW - 60 + 2**32}", "1e309", f"{2**54}")),
            *(token(exp=NOW + 60.5), token(exp=str(NOW + 60)), token(iat="x")),
        )
    ),
    "known secrets": Dialogue(
        with_tokens(
            *(_by_hmac(text) for text in (b"", b" ", b"a-string-secret-at-least-256-bits-long")),
            *(_by_hmac(b"name", kid="name"), _by_hmac(b"name", iss="name")),
        )
    ),
    "hostile tokens": Dialogue(
        [
            ("1", HELLO, {"type": "auth", "token": encode(b"[" * 2000) + ".."}),
            ("2", HELLO, {"type": "auth", "token": "A" * 60_001}),
            ("3", HELLO, {"type": "auth", "token": token(exp=RawNumber("1e309"))}),
            ("4", HELLO, b'{"type":"heartbeat","x":[[[1]]]}\n'),
            ("5", HELLO),
            ("6", HELLO, {"type": "auth", "token": encode(b"[]") + ".."}),
            ("7", *opened(), b'{"type":"heartbeat","remote_port":1e400}\n'),
        ]
    ),
    "names": Dialogue(
        [
            *with_tokens(*(token(name) for name in ("_", "*", "%61", "tunnels-", "a,b"))),
            ("a1", *opened("a"), tunnel("t", "_"), {"type": 'x"y'}, {"type": "heartbeats"}, {"type": "heartbeat\0"}),
            ("a2", *opened("connections"), tunnel("t", "connections-2"), _port(b"0")),
            ("a3", HELLO, auth(sub='x"y'), tunnel('x"y', "a")),
            ("a4", HELLO, auth("elsewhere"), tunnel("t", "elsewhere")),
            ("a5", HELLO, auth("zzz"), tunnel("t", "a")),
        ]
    ),
    "the end of a signature": Dialogue(with_tokens(_token(_signature()[:-1]), _token(_signature()[:-1] + b"x"))),
    "a signature that begins with NUL": Dialogue(
        with_tokens(f"{token(jti='216').rpartition('.')[0]}.{encode(bytes(32))}")
    ),
    "a token used again": Dialogue([("1", HELLO, auth()), ("2", 61, HELLO, auth())]),
    "more members": Dialogue(
        [
            ("1", HELLO, {**auth(), "tenant_id": "b", "client_id": "x"}, tunnel("t", "a"), tunnel("t", "b")),
            ("2", HELLO, {**auth(), "token": "bad", "status": "ok"}, tunnel()),
            ("3", {**HELLO, "token": "x", "tenant_id": "a"}, tunnel()),
            ("4", HELLO, {**tunnel(), "token": "x"}),
            ("5", *opened(), {**BEAT, "tenant_id": "b"}, tunnel("t", "b")),
            ("6", *opened(), {**tunnel("t", "b"), "role": "admin"}, {**tunnel("u", "b"), "token": "x", "tenant": "b"}),
            ("7", *opened("tunnels", "t", "u"), {**tunnel("v", "tunnels"), "force": True}),
            ("8", {**HELLO, "tenant_id": "b"}, auth(), tunnel("t", "b")),
            ("9", *opened(), {**BEAT, "role": "admin"}, tunnel("t", "b")),
            *(("a1", HELLO, {**auth(), "user": {"tenant_id": "b"}}), ("a2", HELLO, {"type": "auth", "jwt": token()})),
            ("a3", *opened("a"), tunnel("t", "tunnels-2"), tunnel("u", "tunnels-2")),
            ("a4", *opened("tunnels-2", "t", "u"), tunnel("v", "tunnels-2", local_port=3390)),
        ]
    ),
    "expiry": Dialogue([("1", *opened(), 61, BEAT)]),
    "tenants": Dialogue(
        with_tokens(*map(token, ("zzz", "ab", "x-a", " a", "*", "A", "asleep", "", None, ["a"], "b", "x" * 300)))
    ),
    "tunnels": Dialogue([("1", *opened()), ("2", *opened("b")), ("1", *(tunnel(**each) for each in _TUNNELS))]),
    "tunnels twice": Dialogue(script("1 tunnels t t u; 2 tunnels t; 3 b t")),
    "types": Dialogue(each(*({"type": name} for name in _TYPES), {}, {"type": "auth"}, first=opened())),
    "valid JSON": Dialogue(each(*_VALID, first=opened())),
    "pieces": Dialogue(
        [
            ("1", *opened(), _BEAT_TEXT[:1], _BEAT_TEXT[1:], _BEAT_TEXT[:5], _BEAT_TEXT[5:] + b"\n"),
            ("1", _BEAT_TEXT + _BEAT_TEXT[:9], _BEAT_TEXT[9:] + b"\n"),
        ]
    ),
    "pipelined": Dialogue(
        [
            ("1", *opened(), line(BEAT) * 10, line(tunnel("t")) + line(BEAT) + line(tunnel("u"))),
            ("1", line(tunnel(remote_port=0)) + line(BEAT)),
            ("2", line(HELLO) + line(auth()) + line(BEAT)),
            ("3", line(tunnel()) * 2 + line(BEAT)),
        ]
    ),
    "an incomplete message and another connection": Dialogue(
        [("1", *opened()), ("2", *opened()), ("1", b'{"type":"tunn'), ("2", BEAT), ("1", b"x" * 100_000), ("2", BEAT)]
    ),
    "WebSocket": Dialogue(
        [
            ("w", *opened("a", "t"), tunnel(remote_port=0), BEAT, tunnel("x" * 90), tunnel("x" * 70_000)),
            ("w", frame(b"p" * 100, 0x89), frame(b"", 0x89), frame(b"1", 0x89) + frame(b"2", 0x89)),
            ("w", frame(b'{"type":', 0x01), frame(b"two", 0x89), frame(b'"heartbeat"}', 0x80)),
            ("w", frame(_BEAT_TEXT) * 3, frame(_BEAT_TEXT, 0x82)),
            ("w", *(frame(_BEAT_TEXT)[at : at + 1] for at in range(26))),
            ("w", _UNKNOWN, frame(b'{"type":"heartbeat","x":"\xff"}'), frame(b"", 0x88)),
        ]
    ),
    "WebSocket fragments": Dialogue(
        [
            ("w", *opened(), frame(b'{"type":"heartbeat","x":"\xe2', 0x01) + frame(b'\x98\x83"}', 0x80)),
            ("w", frame(b"", 0x01) + frame(_BEAT_TEXT, 0x80)),
            ("w", frame(b"{", 0x01) + frame(b'"type":', 0x00) + frame(b'"heartbeat"}', 0x80)),
            ("w", frame(b"x" * 10)),
        ]
    ),
    "WebSocket spellings": Dialogue(
        [
            ("w", *opened(), frame(b" " + _BEAT_TEXT), frame(_BEAT_TEXT + b"x"), frame(_BEAT_TEXT + b"\0x")),
            ("w", frame(b'{// x\n"type":"heartbeat"}')),
        ]
    ),
    "WebSocket violations": Dialogue(
        [
            ("w1", *opened(), b"\x81" + bytes([len(_BEAT_TEXT)]) + _BEAT_TEXT),
            ("w2", *opened(), frame(_BEAT_TEXT, 0xA1)),
            ("w3", *opened(), frame(b"{", 0x01) + frame(_BEAT_TEXT)),
        ]
    ),
    "WebSocket openings": Dialogue(
        [
            ("w1", UPGRADE[:20], UPGRADE[20:] + b"\r\n"),
            ("w2", UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            ("w3", UPGRADE + b"Sec-WebSocket-Protocol: x, y\r\n\r\n"),
            ("w4", UPGRADE.replace(b"GET /", b"GET /other") + b"\r\n"),
            ("w5", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("w6", HELLO, tunnel()),
            ("w7", HELLO, {"type": "auth", "token": _token(bytes(32))}),
            ("w8", {"type": "hello"}),
            ("w9", UPGRADE.lower().replace(b"get / http", b"GET / HTTP") + b"\r\n"),
            ("w10", UPGRADE.replace(b": Upgrade", b": keep-alive, Upgrade") + b"\r\n"),
            ("w11", UPGRADE.replace(b": Upgrade", b": keep-alive\r\nConnection: Upgrade") + b"\r\n"),
            ("w12", UPGRADE.replace(b": websocket", b": WebSocket") + b"\r\n"),
            ("w13", UPGRADE + b"Origin: x\r\nX: " + b"x" * 600 + b"\r\n\r\n"),
            ("w17", UPGRADE + b"X-Forwarded-For: 192.0.2.1\r\n\r\n", *map(frame, opened("elsewhere"))),
            ("w15", HELLO, auth(exp=NOW - 100), tunnel()),
            ("w16", HELLO, auth(iat=NOW), tunnel()),
            ("w14", UPGRADE.replace(b"GET /", b"GET /?x") + b"\r\n"),
        ]
    ),
    "tunnel limit": Dialogue(
        [
            ("1", *opened("tunnels", "t", "u", "v", "w"), tunnel("x", "tunnels", remote_port=0), tunnel("x", "a")),
            *script("2 tunnels y; w tunnels z"),
            ("3", *opened("tunnels", sub="other"), tunnel("s", "tunnels")),
            *script("4 tunnels-2 t; 2 END; 5 tunnels t; 1 END; 6 tunnels t u v; 6 RESET; 7 tunnels t"),
        ]
    ),
    "refused tunnels": Dialogue(
        [
            ("1", *opened("tunnels"), *(tunnel(name, "tunnels", remote_port=0) for name in "xyz")),
            ("1", *(tunnel(name, "tunnels") for name in "tuv")),
            ("2", *opened("tunnels-2", "t"), tunnel("x", "b"), *(tunnel(name, "tunnels-2") for name in "uvw")),
        ]
    ),
    "tunnels that leave something behind": Dialogue(
        [
            ("1", HELLO, tunnel("t", "tunnels"), auth("tunnels"), *(tunnel(name, "tunnels") for name in "tuv")),
            ("2", *opened("tunnels-2", "t"), auth("a"), CLOSE),
            ("2", *opened("tunnels-2", "t", "t"), _UNKNOWN, CLOSE),
            *script("3 tunnels-2 t u v"),
            ("4", *opened("a", sub="other"), CLOSE),
            ("5", *opened("a", "t"), CLOSE),
            *script("6 a t; 7 a t; 6 END; 7 a u"),
        ]
    ),
    "tunnels above a rate": Dialogue(
        [
            ("1", *opened("tenant-tunnels-and-rate"), *[BEAT] * 19, tunnel("x", "tenant-tunnels-and-rate"), 60),
            ("1", *(tunnel(name, "tenant-tunnels-and-rate") for name in "tuvwx")),
        ]
    ),
    "sixteen auths": Dialogue(
        script(
            "; ".join(f"{number} connections; {number} END" for number in range(16)) + "; a connections; b connections"
        )
    ),
    "tunnel_ids on two connections": Dialogue(
        script("1 tunnels t; 2 tunnels t; 1 END; 3 tunnels u v w; 4@127.0.0.2 tunnels x")
    ),
    "connection limit of a tenant": Dialogue(
        [
            ("1", *opened("connections", "t"), tunnel("t", "connections", remote_port=0)),
            *script("2 connections t; 3 connections t"),
            ("3", auth("connections", sub="other")),
            *script("w connections; 4 connections-2; 2 END; 5 connections; 6 connections; 5 RESET; 1 END"),
            *script("7 connections; 8 connections; 9@127.0.0.2 connections"),
            ("7", {"type": "auth", "token": "x"}),
            *script("9 connections; 7 END; 9 connections"),
            ("9", _BEAT_TEXT[:9], END),
            *script("10 connections"),
        ]
    ),
    "refused auths of a tenant": Dialogue(
        [*((name, HELLO, auth("connections", exp=NOW - 9)) for name in "12"), ("3", *opened("connections"))]
    ),
    "connection limit": Dialogue(
        [*script("1 HELLO; 1 HELLO; 2 a"), ("3", _UNKNOWN), *script("4 b t; 2 END; 5 HELLO; 5 RESET; 6 a; 1 END; 7 a")],
        {"connection_limit": 2},
    ),
    "buffers": Dialogue(
        [
            ("1", *opened("a", "t", "u", "v", "w"), tunnel("x", remote_port=0)),
            *script("2 a t u; 3 b t u; 4 tunnels t; 2 END; 5 a t; 1 END; 6 a t u v; 6 RESET; 7 a t"),
        ],
        {"buffer_pool": 2},
    ),
    "rate": Dialogue(
        [
            ("1", *opened("rate"), *[_UNKNOWN] * 3, *[BEAT] * 20),
            ("2", *opened("rate", sub="other")),
            *script("3@127.0.0.2 rate; 4 rate-2; 5 a t"),
            *(("1", seconds, *[BEAT] * 21) for seconds in (9, 10, 1, 19)),
            ("1", 40, *[BEAT] * 15, auth("rate"), *[BEAT] * 15),
        ]
    ),
    "rates": Dialogue([("1", *opened("rate")), ("2", *opened("rate-fast"), *[BEAT] * 30), ("1", 100, *[BEAT] * 25)]),
    "a second auth that is refused": Dialogue([("1", *opened(), {"type": "auth", "token": "x"}, tunnel())]),
    "addresses": Dialogue(
        [*script("1 here t; 2 elsewhere t; 3 a t; 4@192.0.2.1 elsewhere t"), ("1", tunnel("t", "her"))]
    ),
    "draining": Dialogue(
        [("1", *opened(), DRAIN), ("2", *opened("a", "t")), ("3", _UNKNOWN), ("1", SERVE), ("4", *opened())]
    ),
    "dials": Dialogue(
        [
            ("1", *opened("tunnels", "t"), line(BEAT) + line(_UNKNOWN), REACHED, tunnel("u", "tunnels"), UNREACHED),
            ("1", tunnel("v", "tunnels"), REACHED, tunnel("w", "tunnels"), REACHED),
            ("2", *opened(), line(tunnel()) + line(BEAT), REACHED),
        ],
        {"probe": True},
    ),
    # The longest conversation is last: most variations differ in an earlier one.
    "not JSON, then another": Dialogue(
        [turn for what in _NOT_JSON for turn in (*each(what, first=opened()), ("new", HELLO))]
    ),
}
