"""Every decision that the relay takes, as a small part that can be replaced; the defaults conform.

A deviation or a variant is a function from a `Behaviour` to another one (see `variations.parts`). The parts follow a
message on its way: bytes are cut into texts, texts decoded, values understood, requests checked step by step, answers
edited, spelt and written.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

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
_BEAT: Final = to_dict(HeartbeatResponse())  # the one answer that is always the same, and the one of most
_BEAT_TEXT: Final = _COMPACT.encode(_BEAT).encode()

Body = dict[str, Any]
"""A message as a JSON object, on its way out."""


class ByteLayer(Protocol):
    """What stands between the socket and the framer; see `cbspec.protocol.tls.TlsLayer`."""

    established: bool
    ended: bool

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes from the peer; return the plain text that they hold."""

    def receive_eof(self) -> None:
        """Take note that the transport ended."""

    def send(self, data: bytes) -> None:
        """Encrypt `data`."""

    def close(self) -> None:
        """Say that nothing more will be sent."""

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go to the peer."""


class Closable(Protocol):
    """A connection, as far as it can be closed."""

    def abort(self) -> None:
        """Close at once."""


class Readable(Protocol):
    """A connection, as far as it can be read."""

    def hold_up(self, held: bool) -> None:
        """Read nothing more, or read on."""


class AnswerContext(NamedTuple):
    """To what an answer belongs.

    `request` is None where it wasn't valid, `requirement` then the id that it broke; `nth` counts the answers of this
    type on the connection, from 1.
    """

    connection: ConnectionState
    request: Request | None
    requirement: str
    nth: int


def whole(data: bytes) -> Iterable[bytes]:
    """Return what is written at once: all of it."""
    return (data,)


def at_once() -> float:
    """Return how late an answer is: not at all."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Writing:
    """How bytes go out, and how a connection is closed.

    `pieces` cuts what is written at once, and `gap` lies between pieces; `pause` says how late each answer is; both in
    seconds. With `merge` the answers to what arrived together go out as one, with `reset` the relay closes by a reset.
    """

    pieces: Callable[[bytes], Iterable[bytes]] = whole
    gap: float = 0.0
    pause: Callable[[], float] = at_once
    merge: bool = False
    close_notify: bool = True
    reset: bool = False

    @property
    def straight(self) -> bool:
        """Whether each answer goes out as it is, as soon as it is there."""
        return self.pieces is whole and self.pause is at_once and not self.merge


def stream(limits: LimitSettings) -> Framer:
    """Return what cuts a plain stream into message texts."""
    return StreamFramer(max_message=limits.max_message, max_depth=limits.max_depth)


def websocket(limits: LimitSettings) -> WebSocketFramer:
    """Return the relay's end of a WebSocket."""
    return WebSocketFramer.server(max_message=limits.max_message)


def is_websocket(start: bytes) -> bool | None:
    """Tell the transports apart by the first bytes; None where more of them are needed."""
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
    """Return the message that a JSON value is."""
    return parse(value, Role.CLIENT)


def verify(authority: Authority, token: str, now: float) -> Claims:
    """Return what a token says; raises TokenRejected."""
    return authority.verifier.verify(token, now)


def stranger(attempt: Attempt) -> Identity:
    """Return for whom a connection acts that has not authenticated: nobody."""
    raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")


def refuse(attempt: Attempt, event: RequestRefused) -> Refused:
    """Return the refusal of a request that isn't valid or not in its place."""
    return Refused(event.code, event.text)


def unchanged(body: Body, exchange: AnswerContext) -> list[Body]:
    """Return the messages that go out as an answer: the answer."""
    return [body]


def spell(body: Body, exchange: AnswerContext) -> list[bytes]:
    """Return the texts that go out as a message: one JSON text."""
    return [_COMPACT.encode(body).encode()]


def spelt(answer: Answer) -> tuple[Body, bytes]:
    """Return an answer as an object, and the text that a straight behaviour makes of it."""
    if isinstance(answer, HeartbeatResponse):
        return _BEAT, _BEAT_TEXT
    return _spelt_once(answer) if isinstance(answer, HelloResponse) else _spelt(answer)


def _spelt(answer: Answer) -> tuple[Body, bytes]:
    body = to_dict(answer)
    return body, _COMPACT.encode(body).encode()


_spelt_once = lru_cache(maxsize=16)(_spelt)  # a hello is answered the same, whoever says it


def nothing(attempt: Attempt, refused: Refused) -> None:
    """Do nothing more about a refusal."""


def everything(account: Account) -> bool:
    """Say whether what was taken from an account is given back when the connection ends: it is."""
    return True


def stays_open(body: Body, exchange: AnswerContext) -> bool:
    """Say whether a connection ends behind an answer: it doesn't."""
    return False


def without_a_word(connection: ConnectionState) -> Error | None:
    """Return what is said to a client whose connection the relay ends of its own accord: nothing."""
    return None


def leave_others_alone(others: Iterable[Closable]) -> None:
    """Do nothing to the other connections when one of them failed."""


def hold_nobody_up(others: Iterable[Readable], stuck: bool) -> None:
    """Do nothing to the other connections while the client of one reads nothing."""


def tls_layer(context: ssl.SSLContext) -> ByteLayer:
    """Return the layer of a new connection."""
    return TlsLayer(context, server_side=True)


def tls_context(chain: Path, key: Path | None) -> ssl.SSLContext:
    """Return what TLS is served with."""
    return server_context(chain, key)


def certificate(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
    """Return the chain and the key, both PEM, of a relay that has no certificate of its own."""
    return ca.issue(*names)


WsgiApp = Callable[..., Iterable[bytes]]


def plain_app(app: WsgiApp) -> WsgiApp:
    """Return the metrics' HTTP application as it is."""
    return app


STEPS: Mapping[type[Request], tuple[Step, ...]] = {
    Hello: HELLO_STEPS,
    Auth: AUTH_STEPS,
    TunnelInfo: TUNNEL_STEPS,
    Heartbeat: (),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a relay does, part by part; `Behaviour()` conforms.

    `every` holds the steps of each request, valid or not, on an authenticated connection; `steps` those of a request of
    one type; `welcome` those of a connection that was opened, before anything is asked. `refused` is told of every
    refusal, `crashed` when the code of a connection fails, `stuck` when a client leaves its answers unread and when it
    doesn't any more. The end of a connection is noticed `notices_after` seconds.
    """

    certificate: Callable[[DevelopmentCA, Iterable[str]], tuple[bytes, bytes]] = certificate
    tls: Callable[[Path, Path | None], ssl.SSLContext] = tls_context
    layer: Callable[[ssl.SSLContext], ByteLayer] = tls_layer
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
    stranger: Callable[[Attempt], Identity] = stranger
    rate_holder: Callable[[Attempt], Hashable] = rate_holder
    rate_limiter: Callable[[Rate], RateLimiter] = TokenBucket
    gives_back: Callable[[Account], bool] = everything
    gives_back_at_reset: Callable[[Account], bool] = everything
    refuse: Callable[[Attempt, RequestRefused], Refused] = refuse
    refused: Callable[[Attempt, Refused], None] = nothing
    answers: Callable[[Body, AnswerContext], list[Body]] = unchanged
    spell: Callable[[Body, AnswerContext], list[bytes]] = spell
    ends: Callable[[Body, AnswerContext], bool] = stays_open
    parting: Callable[[ConnectionState], Error | None] = without_a_word
    notices_after: float = 0.0
    writing: Writing = field(default_factory=Writing)
    crashed: Callable[[Iterable[Closable]], None] = leave_others_alone
    stuck: Callable[[Iterable[Readable], bool], None] = hold_nobody_up
    metrics: Callable[[WsgiApp], WsgiApp] = plain_app

    @property
    def straight(self) -> bool:
        """Whether each answer is one message, spelt as it is, and none ends the connection."""
        return self.answers is unchanged and self.spell is spell and self.ends is stays_open
