"""The pieces of variations: functions that return a behaviour with one part replaced.

change = both(answers("auth_response", put("status", "fine")), without("rate"))
behaviour = change(Behaviour())
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from websockets.server import ServerProtocol

from cbspec.protocol.connection import Framer
from cbspec.protocol.tls import TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import server_context
from cbspec_simulator.base.state import RelayState
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, LimitSettings

Change = Callable[[Behaviour], Behaviour]


def both(*changes: Change) -> Change:
    """Apply changes in their order."""

    def change(behaviour: Behaviour) -> Behaviour:
        for one in changes:
            behaviour = one(behaviour)
        return behaviour

    return change


def part(**parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of the behaviour."""
    return lambda behaviour: replace(behaviour, **parts)


def around(name: str, function: Callable[..., Any]) -> Change:
    """Replace a part of the behaviour by a function of the previous part and its arguments."""
    return lambda behaviour: part(**{name: partial(function, getattr(behaviour, name))})(behaviour)


def notes() -> Callable[[RelayState], dict[Any, Any]]:
    """Return a function that returns the notes of a relay: a dictionary of its own."""
    found: WeakKeyDictionary[RelayState, dict[Any, Any]] = WeakKeyDictionary()
    return lambda relay: found.setdefault(relay, {})


def writing(**parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of the behaviour's writing."""
    return lambda behaviour: replace(behaviour, writing=replace(behaviour.writing, **parts))


def limited(**limits: Any) -> Callable[[Config], Config]:  # noqa: ANN401 - checked by the names of the limits
    """Configure other limits of a connection."""
    return lambda config: replace(config, limits=replace(config.limits, **limits))


def served_by(change: Callable[[ssl.SSLContext], None]) -> Change:
    """Change the context that TLS is served with."""

    def context(chain: Path, key: Path | None) -> ssl.SSLContext:
        made = server_context(chain, key)
        change(made)
        return made

    return part(tls=context)


def layered(layer: type[TlsLayer]) -> Change:
    """Use another class for the TLS layer of each connection."""
    return part(layer=lambda context: layer(context, server_side=True))


def framed(framer: Callable[..., Framer]) -> Change:
    """Divide a plain stream by another framer."""
    return part(stream=lambda limits: framer(max_message=limits.max_message, max_depth=limits.max_depth))


def websocket_by(
    protocol: type[ServerProtocol],
    framer: type[WebSocketFramer] = WebSocketFramer,
    **options: Any,  # noqa: ANN401 - the protocol's own options
) -> Change:
    """Use other classes for WebSocket."""

    def websocket(limits: LimitSettings) -> WebSocketFramer:
        return framer(protocol(max_size=limits.max_message, **options))

    return part(websocket=websocket)
