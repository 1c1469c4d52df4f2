"""The encrypted bytes of the connections of one case, for a capture file: kept on demand only, and bounded."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

MOST: Final = 4 * 1024 * 1024
"""Bytes of one case that are kept: the connection that exceeds it ends there."""

_RANDOM: Final = slice(6, 38)  # of a ClientHello, in the handshake message (RFC 8446, 4.1.2)


class PieceKind(StrEnum):
    """The kind of a piece, seen from the suite."""

    SENT = "sent"
    RECEIVED = "received"
    FIN_SENT = "FIN sent"
    FIN_RECEIVED = "FIN received"
    RESET_SENT = "RST sent"
    RESET_RECEIVED = "RST received"
    CUT = "cut: the connection exceeds the memory for captures"


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """What passed at a time in seconds since the epoch."""

    at: float
    way: PieceKind
    data: bytes = b""


class CapturedConnection(msgspec.Struct):
    """A TCP connection. `number` is that in the transcript (0: it has none); addresses are hosts and ports."""

    number: int
    source: tuple[str, int]
    target: tuple[str, int]
    began: float
    pieces: list[Piece] = []  # msgspec copies the default
    comment: str = ""
    decisive: float = 0.0

    @property
    def client_random(self) -> bytes:
        """The random value of the ClientHello, by which a key log names the session (b"": there is none)."""
        sent = b"".join(piece.data for piece in self.pieces[:100] if piece.way is PieceKind.SENT)
        if sent.startswith(b"PROXY "):
            sent = sent.partition(b"\r\n")[2]
        message = b""
        while sent[:1] == b"\x16" and len(message) < _RANDOM.stop:
            size = 5 + int.from_bytes(sent[3:5], "big")
            message, sent = message + sent[5:size], sent[size:]
        return message[_RANDOM] if message[:1] == b"\x01" and len(message) >= _RANDOM.stop else b""


class Recorder:
    """Records one connection. `clock` gives seconds since the epoch; `room` are the bytes left, shared by a case."""

    def __init__(self, connection: CapturedConnection, clock: Callable[[], float], room: list[int]) -> None:
        self._connection = connection
        self._clock = clock
        self._room = room
        self._over = self._ended = False

    def add(self, way: PieceKind, data: bytes = b"") -> None:
        """Record a piece; nothing follows a cut."""
        if self._over or (not data and way in (PieceKind.SENT, PieceKind.RECEIVED)):
            return
        if way in (PieceKind.FIN_SENT, PieceKind.RESET_SENT):
            if self._ended:
                return
            self._ended = True
        self._room[0] -= len(data)
        self._over = self._room[0] < 0
        self._connection.pieces.append(
            Piece(self._clock(), PieceKind.CUT) if self._over else Piece(self._clock(), way, bytes(data))
        )


class Captures:
    """The connections of one case."""

    def __init__(self) -> None:
        self.connections: list[CapturedConnection] = []
        self._room = [MOST]

    def begin(self, connection: CapturedConnection, clock: Callable[[], float]) -> Recorder:
        """Return the recorder of a new connection."""
        self.connections.append(connection)
        return Recorder(connection, clock, self._room)
