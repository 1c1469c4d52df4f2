"""Messages that the relay sends: encoding, spelling, contents, pieces and delays; and how it closes."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, cycle

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import Auth, Error
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.answers import always, answers, closes, closes_after, mapped, put, refused_by, texts
from cbspec_simulator.variations.parts import Change, both, framed, limited, part, writing

MALFORMED = ("CB-MSG-005", "CB-MSG-006")
"""The requirements that input breaks if it isn't JSON in UTF-8."""

CLOSE_AFTER_ERROR = closes_after(always)
"""Close the connection after every error."""

_UNEVEN = (0.0, 0.12, 0.01, 0.25, 0.0, 0.06, 0.18, 0.03)  # seconds of delay of successive answers
_BEFORE_THE_PAUSE, _PAUSE = 150, 8.0  # answers, seconds
_FAILED = {"type": "error", "code": "data_transfer_failed", "message": "the remote end has closed"}
_BEAT = {"type": "heartbeat_response"}


def _tunnel(function: Callable[[bytes], bytes | list[bytes]]) -> Change:
    return texts("tunnel_response", function)


def _raw_deflate(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


def _spelled(function: Callable[[Body], str]) -> Change:
    """Encode each message by a function."""
    return part(spell=lambda body, _: [function(body).encode()])


def _escape(text: str) -> str:
    return '"' + "".join(f"\\u{ord(unit):04x}" for unit in text) + '"'


def _escaped(body: Body) -> str:
    members = (
        f"{_escape(name)}\t:  {_escape(value) if isinstance(value, str) and value.isascii() else json.dumps(value)}"
        for name, value in body.items()
    )
    return "{ " + " ,\t".join(members) + " }"


def _sent_again(data: bytes) -> tuple[bytes, ...]:
    """Send everything twice but the answer to a WebSocket's opening handshake."""
    return (data,) if data.startswith(b"HTTP/") else (data, data)


def _late_if_unasked(data: bytes) -> tuple[bytes, ...]:
    """Send the error about a transfer 10 ms later: `gap` is the time after an empty piece."""
    return (b"", data) if _FAILED["message"].encode() in data else (data,)


def _pausing(behaviour: Behaviour) -> Behaviour:
    """Block the event loop with one answer."""
    answered = count(1)

    def pause() -> float:
        if next(answered) == _BEFORE_THE_PAUSE:
            time.sleep(_PAUSE)
        return 0.0

    return writing(pause=pause)(behaviour)


def _separated(before: bytes, after: bytes) -> Change:
    """Write other bytes before and after each message of a plain stream."""

    class SeparatingFramer(StreamFramer):
        __slots__ = ()

        @staticmethod
        def encode(text: bytes) -> bytes:
            return before + text + after

    return framed(SeparatingFramer)


def _more_members(body: Body, exchange: AnswerContext) -> Body:
    return {"at": exchange.nth, **body, "server": {"name": "relay", "load": [0.5, None]}, "note": "ünïcode ✓"}


def _features(function: Callable[[list[str]], list[str]]) -> Change:
    return answers("hello_response", mapped("features", function))


def _on_ipv6(config: Config) -> Config:
    return replace(config, listen=replace(config.listen, host="::1"))


def _pieces(size: int) -> Callable[[bytes], Iterator[bytes]]:
    return lambda data: (data[at : at + size] for at in range(0, len(data), size))


def _halves(data: bytes) -> Iterator[bytes]:
    middle = len(data) // 2
    yield from filter(None, (data[:middle], data[middle:]))


def _jittery(behaviour: Behaviour) -> Behaviour:
    pauses = cycle(_UNEVEN)
    return writing(pause=lambda: next(pauses))(behaviour)


def _refused_auth(exchange: AnswerContext) -> bool:
    return isinstance(exchange.request, Auth) or "CB-AUT-" in exchange.requirement


CHANGES: dict[str, Change] = {
    "output-not-utf8": texts("error", lambda text: text[:-1] + b',"x":"\xff"}'),
    "output-utf-16": _tunnel(lambda text: text.decode().encode("utf-16")),
    "output-bom": texts("hello_response", lambda text: b"\xef\xbb\xbf" + text),
    "output-cut-off": _tunnel(lambda text: text[:-1]),
    "output-log-line": _tunnel(lambda text: [b"opening a tunnel", text]),
    "output-gzip": _tunnel(lambda text: gzip.compress(text, mtime=0)),
    "output-raw-deflate": texts("error", _raw_deflate, refused_by("CB-UNK-001")),
    "everything-answered-twice-late": writing(pieces=_sent_again, gap=0.02),
    "transfer-fails-late": both(
        answers("tunnel_response", lambda body, _: [body, _FAILED]), writing(pieces=_late_if_unasked, gap=0.01)
    ),
    "paused-once": _pausing,
    "heartbeat-unasked": answers("tunnel_response", lambda body, _: [body, _BEAT]),
    "error-and-success": answers("error:invalid_tunnel_info", lambda body, _: [body, _BEAT], refused_by("CB-TUN-007")),
    "member-order": _spelled(lambda body: json.dumps(dict(reversed(body.items())))),
    "indented": _spelled(lambda body: json.dumps(body, indent=2).replace("\n", "\r\n")),
    "escapes": _spelled(_escaped),
    "escaped-slashes": texts("", lambda text: text.replace(b"/", b"\\/")),
    "padded": texts("", lambda text: b" \t" + text + b"  "),
    "crlf": _separated(b"", b"\r\n"),
    "blank-lines": _separated(b"\n \r\n", b"\n\n\n"),
    "unseparated": _separated(b"", b""),
    "separated-before": _separated(b"\n", b""),
    "extra-members": answers("", _more_members),
    "long-answers": answers("", lambda body, _: {"note": "x" * 40_000, **body}),
    "more-features": _features(lambda features: [*features, "drain"]),
    "feature-order": _features(lambda features: [*reversed(features), features[0]]),
    "own-client-id": answers("auth_response", put("client_id", lambda exchange: f"c/{exchange.connection.number:08x}")),
    "leeway": part(leeway=300.0),
    "dribble": writing(pieces=_pieces(1)),
    "trickle": writing(pieces=_pieces(16), gap=0.01),
    "split-records": writing(pieces=_halves),
    "merged-answers": writing(merge=True),
    "slow": writing(pause=lambda: 0.3),
    "jittery": _jittery,
    "no-close-notify": writing(close_notify=False),
    "close-after-error": CLOSE_AFTER_ERROR,
    "close-after-error-without-close-notify": both(CLOSE_AFTER_ERROR, writing(close_notify=False)),
    "reset-after-error": both(CLOSE_AFTER_ERROR, writing(reset=True)),
    "close-after-refused-auth": closes_after(_refused_auth),
    "malformed-resets": both(closes("error", refused_by(*MALFORMED)), writing(reset=True)),
    "late-return": part(notices_after=1.0),
    "late-return-behind-errors": both(CLOSE_AFTER_ERROR, part(notices_after=1.0)),
    "goodbye": part(parting=lambda _: Error(ErrorCode.SERVER_UNAVAILABLE, "the relay closes the connection")),
}

ARRANGED = {
    "small-messages": limited(max_message=16 * 1024, max_depth=8),
    "large-messages": limited(max_message=4 * 1024 * 1024),
    "deep-messages": limited(max_depth=256),
    "goodbye": limited(idle_timeout=3.0, handshake_timeout=3.0),
    "ipv6": _on_ipv6,
}
