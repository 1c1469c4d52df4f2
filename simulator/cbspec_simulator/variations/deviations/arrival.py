"""More that comes in: near misses taken for good, encodings, legal spellings, pieces and bunches not understood."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from cbspec.protocol.framing import Frame, StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, broke, part, silence, takes
from cbspec_simulator.variations.deviations.kind import Deviation
from cbspec_simulator.variations.deviations.reading import framed, substitute, unreadable

Mend = Callable[[bytes], bytes | None]
_DOZENS = 36


def _without_garbage_before(text: bytes) -> bytes | None:
    start = text.find(b"{")
    return text[start:] if start > 0 else None


def _without_garbage_behind(text: bytes) -> bytes | None:
    try:
        string = text.decode()
        _, end = json.JSONDecoder().raw_decode(string.lstrip())
    except (ValueError, RecursionError):
        return None
    return string.lstrip()[:end].encode()


def _decoded(encoding: str, errors: str = "strict") -> Mend:
    def mend(text: bytes) -> bytes | None:
        try:
            return text.decode(encoding, errors).encode("utf-8", "replace")
        except UnicodeDecodeError:
            return None

    return mend


def _in_wide_characters(*encodings: str) -> Mend:
    def mend(text: bytes) -> bytes | None:
        if b"\0" not in text:
            return None
        found = (_decoded(encoding)(text) for encoding in encodings)
        return next((made for made in found if made is not None and made.lstrip()[:1] == b"{"), None)

    return mend


NEARLY: tuple[tuple[str, str, Mend], ...] = (
    ("garbage-before", "An object with garbage before it", _without_garbage_before),
    ("garbage-behind", "A WebSocket message with garbage behind its object", _without_garbage_behind),
    ("line-comments", "An object with comments up to the end of a line", substitute(rb"(?://|#)[^\n]*(?:\n|$)", b" ")),
    ("leading-comma", "An object with a comma before its first member", substitute(rb"\{\s*,", b"{")),
    ("equals-sign", "An object with an equals sign for a colon", substitute(rb'(")\s*=', rb"\1:")),
    ("missing-colon", "An object with a colon missing", substitute(rb'([{,]\s*"[^"]*")\s+(?=")', rb"\1:")),
    ("bare-point", "A number that ends with its point", substitute(rb"(\d)\.(?=\s*[,}\]])", rb"\1")),
    ("undefined", "A value that is undefined", substitute(rb"\bundefined\b", b"null")),
    ("capital-literals", "A value that is True, False or None", substitute(rb":\s*(?:True|False|None)\b", b":null")),
    ("unknown-escapes", "A string with an escape that JSON lacks", substitute(rb"\\x[0-9a-fA-F]{2}", b"?")),
    ("odd-space", "An object with white space that JSON lacks", substitute(rb"\{(?:\f|\xc2\xa0)", b"{")),
)

ENCODED: tuple[tuple[str, str, Mend], ...] = (
    ("overlong", "Overlong UTF-8", substitute(rb"[\xc0\xc1][\x80-\xbf]", b"?")),
    ("surrogates", "UTF-8 with half surrogate pairs", _decoded("utf-8", "surrogatepass")),
    ("beyond-unicode", "UTF-8 beyond the last character", substitute(rb"\xf4[\x90-\xbf][\x80-\xbf]{2}", b"?")),
    ("bytes-dropped", "What isn't UTF-8, without the bytes that aren't,", _decoded("utf-8", "ignore")),
    ("utf-16", "UTF-16", _in_wide_characters("utf-16-le", "utf-16-be")),
    ("utf-32", "UTF-32", _in_wide_characters("utf-32-le", "utf-32-be")),
)

SPELT: tuple[tuple[str, str, Callable[[bytes], bool]], ...] = (
    ("surrogate-pairs", "A character beyond U+FFFF in escapes", lambda text: b"\\ud8" in text.lower()),
    ("upper-case-escapes", "An escape in upper case", lambda text: re.search(rb"\\u\d*[A-F]", text) is not None),
    ("tabs", "A tab between tokens", lambda text: b"\t" in text),
    ("space-before", "White space before the object", lambda text: text[:1] in (b" ", b"\t")),
    ("escaped-names", "A member's name with an escape", lambda text: re.search(rb'[{,]\s*"[^"]*\\u', text) is not None),
    ("space-in-arrays", "White space inside an array", lambda text: re.search(rb"\[[ \t]|[ \t]\]", text) is not None),
    (
        "brace-in-string",
        "A string that holds a brace without its pair",
        lambda text: text.count(b"{") != text.count(b"}"),
    ),
    ("brackets-in-string", "A string that holds dozens of brackets", lambda text: text.count(b"[") > _DOZENS),
    (
        "other-member-order",
        "A tunnel_info whose tenant_id comes before its tunnel_id",
        lambda text: 0 <= text.find(b'"tenant_id"') < text.find(b'"tunnel_id"'),
    ),
)


class _PieceByPiece(StreamFramer):
    """Decodes each read by itself."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(data.decode("utf-8", "replace").encode())


class _NoSingleBytes(StreamFramer):
    """Passes over reads of one byte."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(data if len(data) > 1 else b"")


class _NoHalves(StreamFramer):
    """Drops what is left behind a whole message."""

    __slots__ = ("_whole",)

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._whole = False

    def next_frame(self) -> Frame | None:
        frame = super().next_frame()
        if frame is not None:
            self._whole = True
        elif getattr(self, "_whole", False) and self.pending:
            self._whole = False
            self._buffer.clear()
            self._scanner = None
        return frame


class _AtMost(StreamFramer):
    """Takes a few messages out of each read, and drops the others."""

    __slots__ = ("_left",)
    most = 8

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._left = self.most

    def next_frame(self) -> Frame | None:
        while (frame := super().next_frame()) is not None:
            self._left = getattr(self, "_left", self.most) - 1
            if self._left >= 0:
                return frame
        return None


class _NothingBehind(StreamFramer):
    """Drops what arrived together with a message that holds `mark`, behind it."""

    __slots__ = ("_after",)
    mark: re.Pattern[bytes]

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._after = False

    def next_frame(self) -> Frame | None:
        frame = super().next_frame()
        if frame is None or getattr(self, "_after", False):
            return None if frame is None else self.next_frame()
        self._after = self.mark.search(frame.text) is not None
        return frame


class _NothingBehindAuth(_NothingBehind):
    """Drops what arrived together with an auth, behind it."""

    __slots__ = ()
    mark = re.compile(rb'"token"')


class _NothingBehindBad(_NothingBehind):
    """Drops what arrived together with a tunnel_info for port 0, behind it."""

    __slots__ = ()
    mark = re.compile(rb'"remote_port":0[,}]')


class _Reordered(StreamFramer):
    """Reads what arrived together in another order."""

    __slots__ = ("_sorted",)

    @staticmethod
    def order(frames: list[Frame]) -> list[Frame]:
        return sorted(frames, key=lambda frame: b'"heartbeat"' not in frame.text)

    def next_frame(self) -> Frame | None:
        waiting = [*getattr(self, "_sorted", ())]
        if not waiting:
            while (frame := super().next_frame()) is not None:
                waiting.append(frame)
            waiting = self.order(waiting)
        self._sorted = waiting[1:]
        return waiting[0] if waiting else None


class _LastTunnelFirst(_Reordered):
    """Reads the tunnel_infos that arrived together from the last to the first."""

    __slots__ = ()

    @staticmethod
    def order(frames: list[Frame]) -> list[Frame]:
        tunnels = iter([frame for frame in frames if b'"tunnel_info"' in frame.text][::-1])
        return [next(tunnels) if b'"tunnel_info"' in frame.text else frame for frame in frames]


class _WholeFramesOnly(WebSocketFramer):
    """Passes over reads of one byte, once the WebSocket is open."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(data if not self.opened or len(data) > 1 else b"")


class _ShakesAtOnce(WebSocketFramer):
    """Takes the first read for the whole opening handshake."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        whole = self.opened or data.endswith(b"\r\n\r\n")
        super().feed(data if whole else data + b"\r\n\r\n")


class _OneFrameOnly(WebSocketFramer):
    """Takes one message out of each read."""

    __slots__ = ()

    def next_frame(self) -> Frame | None:
        frame = super().next_frame()
        self._messages.clear()
        return frame


class _EachFragmentDecoded(ServerProtocol):
    """Decodes each fragment by itself."""

    def recv_frame(self, frame: WireFrame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            data = bytes(frame.data).decode("utf-8", "replace").encode()
            frame = WireFrame(frame.opcode, data, frame.fin)
        super().recv_frame(frame)


def _websocket(framer: type[WebSocketFramer], protocol: type[ServerProtocol] = ServerProtocol) -> Change:
    def websocket(limits: LimitSettings) -> WebSocketFramer:
        return framer(protocol(max_size=limits.max_message))

    return part(websocket=websocket)


PIECES: tuple[tuple[str, str, str, Change], ...] = (
    (
        "split-character-mangled",
        "CB-MSG-009",
        "A character whose bytes arrive apart is replaced.",
        framed(_PieceByPiece),
    ),
    ("single-bytes-lost", "CB-MSG-009", "A byte that arrives alone is passed over.", framed(_NoSingleBytes)),
    (
        "half-behind-whole-lost",
        "CB-MSG-009",
        "What arrives of a message behind a whole one is dropped.",
        framed(_NoHalves),
    ),
    (
        "split-websocket-frame-lost",
        "CB-MSG-009",
        "A WebSocket frame that arrives byte by byte is not understood.",
        _websocket(_WholeFramesOnly),
    ),
    (
        "split-handshake-refused",
        "CB-MSG-009",
        "A WebSocket's opening handshake that arrives in pieces is cut off behind the first.",
        _websocket(_ShakesAtOnce),
    ),
    ("pipelined-beyond-eight-lost", "CB-MSG-010", "Of what arrives together only eight are answered.", framed(_AtMost)),
    (
        "pipelined-behind-auth-lost",
        "CB-MSG-010",
        "What arrives together with an auth, behind it, is dropped.",
        framed(_NothingBehindAuth),
    ),
    (
        "pipelined-behind-refused-lost",
        "CB-MSG-010",
        "What arrives together with a bad tunnel_info, behind it, is dropped.",
        framed(_NothingBehindBad),
    ),
    (
        "pipelined-websocket-lost",
        "CB-MSG-010",
        "Of the WebSocket messages that arrive together only the first is answered.",
        _websocket(_OneFrameOnly),
    ),
    (
        "pipelined-heartbeats-first",
        "CB-MSG-011",
        "Of what arrives together heartbeats are answered first.",
        framed(_Reordered),
    ),
    (
        "pipelined-last-tunnel-first",
        "CB-MSG-011",
        "Of the tunnel_infos that arrive together the last is answered first.",
        framed(_LastTunnelFirst),
    ),
)


def _near(kind: tuple[str, str, Mend], requirement: str, rest: str) -> Deviation:
    return Deviation(f"input-{kind[0]}-accepted", requirement, f"{kind[1]} {rest}.", takes(kind[2]))


DEVIATIONS = (
    *(_near(kind, "CB-MSG-005", "is taken for JSON") for kind in NEARLY),
    *(_near(kind, "CB-MSG-006", "is taken for UTF-8") for kind in ENCODED),
    *(
        Deviation(f"input-{name}-not-understood", "CB-MSG-008", f"{what} is not understood.", unreadable(test))
        for name, what, test in SPELT
    ),
    *(Deviation(f"input-{name}", requirement, sentence, change) for name, requirement, sentence, change in PIECES),
    Deviation(
        "websocket-fragments-decoded-apart",
        "CB-WSK-003",
        "Each fragment is decoded by itself.",
        _websocket(WebSocketFramer, _EachFragmentDecoded),
    ),
    Deviation(
        "input-not-utf8-unanswered",
        "CB-MSG-007",
        "What isn't UTF-8 stays unanswered.",
        answers("error", silence, broke("CB-MSG-006")),
    ),
)
