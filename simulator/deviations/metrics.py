"""Ways to be wrong about metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simulator.behaviour import WsgiApp
from simulator.compose import Change, part
from simulator.deviations.kind import Deviation

Edit = Callable[[str, list[tuple[str, str]], bytes], tuple[str, list[tuple[str, str]], bytes]]


def _served(edit: Edit) -> Change:
    """Serve the metrics with status, headers and body as `edit` leaves them."""

    def around(app: WsgiApp) -> WsgiApp:
        def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
            caught: list[Any] = []
            body = b"".join(app(environ, lambda status, headers, *_: caught.extend((status, headers))))
            status, headers, body = edit(caught[0], caught[1], body)
            start_response(status, headers)
            return [body]

        return application

    return part(metrics=around)


_HTML = [("Content-Type", "text/html; charset=utf-8")]


def _frozen() -> Edit:
    first: list[bytes] = []

    def edit(status: str, headers: list[tuple[str, str]], body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        first.append(body)
        return status, headers, first[0]

    return edit


DEVIATIONS = (
    Deviation(
        "metrics-not-found",
        "CB-MET-001",
        "The metrics address answers 404.",
        _served(lambda _, headers, body: ("404 Not Found", headers, body)),
    ),
    Deviation(
        "metrics-html",
        "CB-MET-002",
        "The metrics address answers a page for people.",
        _served(lambda status, _, __: (status, _HTML, b"<html><body>all is well</body></html>\n")),
    ),
    Deviation(
        "metrics-value-not-a-number",
        "CB-MET-002",
        "A sample's value is not a number.",
        _served(lambda status, headers, body: (status, headers, body + b"cloudbridge_state fine\n")),
    ),
    Deviation(
        "metrics-frozen", "CB-MET-003", "The metrics never change.", lambda behaviour: _served(_frozen())(behaviour)
    ),
)
