"""Metrics: other texts, other names, other forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.state import Attempt
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import Behaviour, WsgiApp
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.steps import added, tunnel_request


def _served(function: Callable[[bytes], bytes] = bytes, *, status: str = "", plain: bool = False) -> Change:
    """Apply a function to the metrics, or serve them with another status, or in the plain format only."""

    def application(app: WsgiApp, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        if plain:
            environ = {name: value for name, value in environ.items() if not name.startswith("HTTP_ACCEPT")}
        return [function(b"".join(app(environ, lambda usual, *rest: start(status or usual, *rest))))]

    return part(metrics=lambda app: partial(application, app))


def _frozen(behaviour: Behaviour) -> Behaviour:
    first: list[bytes] = []

    def frozen(body: bytes) -> bytes:
        first.append(body)
        return first[0]

    return _served(frozen)(behaviour)


def _names_unescaped(behaviour: Behaviour) -> Behaviour:
    """Add a sample for each tunnel_id."""
    names: dict[str, None] = {}

    def with_names(text: bytes) -> bytes:
        return text + "".join(f'cloudbridge_tunnel{{tunnel_id="{name}"}} 1\n' for name in names).encode()

    def note(attempt: Attempt) -> None:
        names[tunnel_request(attempt).tunnel_id] = None

    return both(added(TunnelInfo, Step("named", note)), _served(with_names, plain=True))(behaviour)


def _bare(text: bytes) -> bytes:
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith(b"#"))
    return b"".join(line.replace(b"\n", b" 1800000000000\n") for line in lines)


def _lines(*edits: tuple[bytes, bytes]) -> Change:
    """Serve plain metrics, with each pattern replaced in every line."""

    def edit(text: bytes) -> bytes:
        for pattern, by in edits:
            text = re.sub(pattern, by, text, flags=re.MULTILINE)
        return text

    return _served(edit, plain=True)


def _types_last(text: bytes) -> bytes:
    types = re.findall(rb"^# TYPE .*\n", text, re.MULTILINE)
    return b"".join([re.sub(rb"^# TYPE .*\n", b"", text, flags=re.MULTILINE), *types])


CHANGES: dict[str, Change] = {
    "metrics-not-found": _served(status="404 Not Found"),
    "metrics-cut-off": _served(lambda body: body[:-3]),
    "metrics-type-after-samples": _served(_types_last, plain=True),
    "metrics-help-twice": _lines((rb"^(# HELP .*\n)", rb"\1\1")),
    "metrics-windows-lines": _lines((rb"\n", rb"\r\n")),
    "metrics-names-unescaped": _names_unescaped,
    "metrics-frozen": _frozen,
    "metrics-sample-twice": _lines((rb"^([^#].*\n)", rb"\1\1")),
    "metrics-without-infinity": _lines((rb"^.*le=\"\+Inf\".*\n", b"")),
    "metrics-spaced": _lines((rb"^(\w+)\{(.*)\}", rb"\1 {\t\2 , } "), (rb"(\w+)=(\"[^\"]*\")", rb" \1 =\t\2 ")),
    "metrics-other-names": _served(lambda text: text.replace(b"cloudbridge", b"relay:v2"), plain=True),
    "metrics-bare": _served(_bare, plain=True),
    "metrics-in-plain-text": _served(plain=True),
}
