"""A parser of the WebSocket frames that a client sent."""

from __future__ import annotations

from websockets.exceptions import ProtocolError
from websockets.frames import Frame
from websockets.streams import StreamReader


def parse(data: bytes) -> list[Frame] | None:
    """Return the masked frames in `data`, or None if one is invalid or incomplete."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames: list[Frame] = []
    while reader.buffer:
        try:
            next(Frame.parse(reader.read_exact, mask=True))
        except StopIteration as parsed:
            frames.append(parsed.value)
        except (EOFError, ProtocolError):
            return None
    return None if any(frame.rsv1 or frame.rsv2 or frame.rsv3 for frame in frames) else frames
