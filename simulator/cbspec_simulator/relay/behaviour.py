"""Every decision of the relay as a small part that can be replaced; the defaults conform.

A deviation or a variant is a function from a `Behaviour` to another one (see `variations.parts`). The parts follow a
message on its way: bytes are split into texts, texts decoded, values interpreted, requests checked step by step,
answers edited, spelled and written.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from cbspec.profile.identity import DevelopmentCA
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Framer, RequestRefused
from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.messages import (
    Answer,
    Auth,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    Role,
    TunnelInfo,
    Violation,
    parse,
    to_dict,
)
from cbspec.protocol.state import TABLE, Table
from cbspec.protocol.strictjson import NotStrictJson, loads, utf8_fault
from cbspec.protocol.tls import TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import server_context
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.limits import Account, RateLimiter, TokenBucket
from cbspec_simulator.base.state import Attempt, Authority, ConnectionState, Identity, Refused
from cbspec_simulator.base.steps import AUTH_STEPS, HELLO_STEPS, RATE, TUNNEL_STEPS, Step, rate_holder

if TYPE_CHECKING:
    from cbspec.profile.target import Rate
    from cbspec_simulator.settings.config import LimitSettings

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ENCODER: Final = msgspec.json.Encoder()  # makes the same text of strings and arrays in a fraction of the time
_BEAT: Final = to_dict(HeartbeatResponse())  # the most frequent answer, and always the same
_BEAT_TEXT: Final = _COMPACT.encode(_BEAT).encode()

Body = dict[str, Any]
"""A message of the relay as a JSON object."""

WsgiApp = Callable[..., Iterable[bytes]]


class OtherConnection(Protocol):
    """A connection of the relay, for the parts that affect other connections."""

    def abort(self) -> None:
        """Close the connection at once."""

    def hold_reading(self, held: bool) -> None:
        """Pause or resume reading."""


class AnswerContext(NamedTuple):
    """The request of an answer, or None and the requirement that it broke.

    `nth` counts the answers of this type on the connection, from 1.
    """

    connection: ConnectionState
    request: Request | None
    requirement: str
    nth: int


def in_one_piece(data: bytes) -> Iterable[bytes]:
    """Write all bytes at once."""
    return (data,)


def no_delay() -> float:
    """Delay no answer."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Writing:
    """How bytes are written, and how a connection is closed.

    `pieces` splits the bytes of an answer, with `gap` seconds between two pieces; `pause` returns the delay of an
    answer in seconds. With `merge`, the answers to requests that arrived together are sent together; with `reset`, the
    relay closes by a reset.
    """

    pieces: Callable[[bytes], Iterable[bytes]] = in_one_piece
    gap: float = 0.0
    pause: Callable[[], float] = no_delay
    merge: bool = False
    close_notify: bool = True
    reset: bool = False

    @property
    def plain(self) -> bool:
        """Whether each answer is sent unchanged and at once."""
        return self.pieces is in_one_piece and self.pause is no_delay and not self.merge


def stream(limits: LimitSettings) -> Framer:
    """Return the framer of a plain stream."""
    return StreamFramer(max_message=limits.max_message, max_depth=limits.max_depth)


def websocket(limits: LimitSettings) -> WebSocketFramer:
    """Return the relay's end of a WebSocket."""
    return WebSocketFramer.server(max_message=limits.max_message)


def is_websocket(start: bytes) -> bool | None:
    """Detect the transport by the first bytes; None: more bytes are needed."""
    method = b"GET "
    if len(start) < len(method) and method.startswith(start):
        return None
    return start.startswith(method)


def decode(frame: RawMessage, max_depth: int) -> object:
    """Return the JSON value of a message text; raises NotStrictJson."""
    if frame.broken:
        fault = utf8_fault(frame.text)
        raise NotStrictJson(fault or frame.broken, utf8=bool(fault))
    return loads(frame.text, max_depth=max_depth)


def understand(value: object) -> Message | Violation:
    """Return the message of a JSON value."""
    return parse(value, Role.CLIENT)


def verify(authority: Authority, token: str, now: float) -> Claims:
    """Return the claims of a token; raises TokenRejected."""
    return authority.verifier.verify(token, now)


def identity_before_auth(attempt: Attempt) -> Identity:
    """Return the identity of a connection before auth: none."""
    raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")


def refuse(attempt: Attempt, event: RequestRefused) -> Refused:
    """Return the refusal of an invalid request, or of one out of order."""
    return Refused(event.code, event.text)


def unchanged(body: Body, exchange: AnswerContext) -> list[Body]:
    """Send the answer only."""
    return [body]


def spell(body: Body, exchange: AnswerContext) -> list[bytes]:
    """Return the texts of a message: one JSON text."""
    return [_COMPACT.encode(body).encode()]


def stays_open(body: Body, exchange: AnswerContext) -> bool:
    """Keep the connection open after an answer."""
    return False


def encoded(answer: Answer) -> tuple[Body, bytes]:
    """Return an answer as an object, and as the text of a behaviour that leaves answers unchanged."""
    if isinstance(answer, HeartbeatResponse):
        return _BEAT, _BEAT_TEXT
    return _encoded_once(answer) if isinstance(answer, HelloResponse) else _encoded(answer)


def _encoded(answer: Answer) -> tuple[Body, bytes]:
    body = to_dict(answer)
    return body, _ENCODER.encode(body)


_encoded_once = lru_cache(maxsize=16)(_encoded)  # the answer to a hello depends on the configuration only

STEPS: Mapping[type[Request], tuple[Step, ...]] = {
    Hello: HELLO_STEPS,
    Auth: AUTH_STEPS,
    TunnelInfo: TUNNEL_STEPS,
    Heartbeat: (),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour of a relay, part by part; `Behaviour()` conforms.

    `every` holds the steps of each request, valid or not, on an authenticated connection; `steps` those of each type of
    request; `welcome` those of a new connection. `notices_after` seconds after the end of a connection, its units are
    released that `releases`, and after a reset `releases_at_reset`, return true for. `parting` returns the last message
    of a connection that the relay closes. `refused` is called after each refusal, `crashed` when the code of a
    connection fails, `stuck` when a write buffer is full or empty again. With `reads_in_turns`, large input is read in
    turns, so that it doesn't delay other connections.
    """

    certificate: Callable[[DevelopmentCA, Iterable[str]], tuple[bytes, bytes]] = lambda ca, names: ca.issue(*names)
    tls: Callable[[Path, Path | None], ssl.SSLContext] = server_context
    layer: Callable[[ssl.SSLContext], TlsLayer] = lambda context: TlsLayer(context, server_side=True)
    is_websocket: Callable[[bytes], bool | None] = is_websocket
    stream: Callable[[LimitSettings], Framer] = stream
    websocket: Callable[[LimitSettings], WebSocketFramer] = websocket
    decode: Callable[[RawMessage, int], object] = decode
    understand: Callable[[object], Message | Violation] = understand
    table: Table = field(default_factory=lambda: TABLE)
    verify: Callable[[Authority, str, float], Claims] = verify
    leeway: float | None = None
    welcome: tuple[Step, ...] = ()
    every: tuple[Step, ...] = (RATE,)
    steps: Mapping[type[Request], tuple[Step, ...]] = field(default_factory=lambda: STEPS)
    identity_before_auth: Callable[[Attempt], Identity] = identity_before_auth
    rate_holder: Callable[[Attempt], Hashable] = rate_holder
    rate_limiter: Callable[[Rate], RateLimiter] = TokenBucket
    releases: Callable[[Account], bool] = lambda account: True
    releases_at_reset: Callable[[Account], bool] = lambda account: True
    refuse: Callable[[Attempt, RequestRefused], Refused] = refuse
    refused: Callable[[Attempt, Refused], None] = lambda attempt, refused: None
    answers: Callable[[Body, AnswerContext], list[Body]] = unchanged
    spell: Callable[[Body, AnswerContext], list[bytes]] = spell
    ends: Callable[[Body, AnswerContext], bool] = stays_open
    parting: Callable[[ConnectionState], Error | None] = lambda connection: None
    notices_after: float = 0.0
    writing: Writing = field(default_factory=Writing)
    crashed: Callable[[Iterable[OtherConnection]], None] = lambda others: None
    stuck: Callable[[Iterable[OtherConnection], bool], None] = lambda others, stuck: None
    metrics: Callable[[WsgiApp], WsgiApp] = lambda app: app
    reads_in_turns: bool = True

    @property
    def plain(self) -> bool:
        """Whether answers are sent unchanged, and none ends the connection."""
        return self.answers is unchanged and self.spell is spell and self.ends is stays_open
