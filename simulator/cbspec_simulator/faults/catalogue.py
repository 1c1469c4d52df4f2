"""Every kind of fault by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cbspec_simulator.faults import meaning, message, tls, transport, websocket
from cbspec_simulator.faults.kind import FaultKind

KINDS: Final[Mapping[str, FaultKind]] = {
    kind.name: kind for kind in (*tls.KINDS, *transport.KINDS, *websocket.KINDS, *message.KINDS, *meaning.KINDS)
}
