"""The lines that the tap prints while it runs: one for each event with -v, and troubles always."""

from __future__ import annotations

from collections.abc import Iterator

from cbspec_conformance.record.quoting import printable, shortened
from cbspec_conformance.tap.rows import (
    Row,
    Side,
    TapEnded,
    TapFrame,
    TapHalf,
    TapHead,
    TapMessage,
    TapNotSecured,
    TapOpened,
    TapSecured,
    TapUnreachable,
)

_LONGEST = 200
_ARROWS = {Side.CLIENT: "->", Side.RELAY: "<-"}
_CONTROL_FRAMES = {8: "close frame", 9: "ping", 10: "pong"}


def trouble(row: Row) -> str:
    """Return a line for a connection that can't be passed on, or ""."""
    match row:
        case TapUnreachable():
            return f"#{row.connection} the relay can't be reached: {row.reason}; the client's connection is closed"
        case TapNotSecured(side=Side.RELAY):
            remedy = ": name its CA with --ca, or its name with --server-name" if row.untrusted else ""
            alert = f" (alert {row.alert})" if row.alert else ""
            return f"#{row.connection} no TLS with the relay: {row.reason}{alert}{remedy}"
        case TapNotSecured():
            alert = f" (alert {row.alert}: does it trust the tap's CA?)" if row.alert else ""
            spoken = f"; it sent {printable(row.plain)}" if row.plain else ""
            return f"#{row.connection} no TLS with the client: {row.reason}{alert}{spoken}"
    return ""


def lines(row: Row) -> Iterator[str]:
    """Yield the line of an event."""
    if text := trouble(row) or _line(row):
        yield shortened(f"{getattr(row, 'at', 0.0):9.3f} {text}", _LONGEST)


def _line(row: Row) -> str:
    match row:
        case TapOpened():
            return f"#{row.connection} -- connected from {row.address}"
        case TapSecured():
            return f"#{row.connection} -- {row.version} with the {row.side} ({row.cipher})"
        case TapMessage():
            fault = f"  !! {row.fault}" if row.fault else ""
            return f"#{row.connection} {_ARROWS[row.side]} {printable(row.text.strip())}{printable(fault)}"
        case TapHead():
            return f"#{row.connection} {_ARROWS[row.side]} {printable(row.line)}"
        case TapFrame() if row.opcode in _CONTROL_FRAMES:
            return f"#{row.connection} {_ARROWS[row.side]} {_CONTROL_FRAMES[row.opcode]}"
        case TapHalf():
            return f"#{row.connection} {_ARROWS[row.side]} unfinished: {printable(row.text)}"
        case TapEnded():
            return f"#{row.connection} -- ended by the {row.side}: {row.how}"
    return ""
