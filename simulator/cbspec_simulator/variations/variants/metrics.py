"""Metrics with other names, or in another form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cbspec_simulator.relay.behaviour import WsgiApp
from cbspec_simulator.variations.parts import Change, part


def _edited(edit: Callable[[bytes], bytes]) -> Change:
    """Edit the text of the metrics, which are served in the plain format only."""

    def around(app: WsgiApp) -> WsgiApp:
        def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
            plain = {name: value for name, value in environ.items() if not name.startswith("HTTP_ACCEPT")}
            return [edit(b"".join(app(plain, start_response)))]

        return application

    return part(metrics=around)


def _bare(text: bytes) -> bytes:
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith(b"#"))
    return b"".join(line.replace(b"\n", b" 1800000000000\n") for line in lines)


CHANGES: dict[str, Change] = {
    "metrics-other-names": _edited(lambda text: text.replace(b"cloudbridge", b"relay:v2")),
    "metrics-bare": _edited(_bare),
}
