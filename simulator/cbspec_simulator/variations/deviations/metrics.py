"""Deviations of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cbspec_simulator.relay.behaviour import Behaviour, WsgiApp
from cbspec_simulator.variations.parts import Change, part

_Headers = list[tuple[str, str]]
_Edit = Callable[[str, _Headers, bytes], tuple[str, _Headers, bytes]]


def _served(edit: _Edit) -> Change:
    """Edit the status, the headers and the body of the metrics."""

    def around(app: WsgiApp) -> WsgiApp:
        def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
            caught: list[Any] = []
            body = b"".join(app(environ, lambda status, headers, *_: caught.extend((status, headers))))
            status, headers, body = edit(caught[0], caught[1], body)
            start_response(status, headers)
            return [body]

        return application

    return part(metrics=around)


def _frozen(behaviour: Behaviour) -> Behaviour:
    first: list[bytes] = []

    def edit(status: str, headers: _Headers, body: bytes) -> tuple[str, _Headers, bytes]:
        first.append(body)
        return status, headers, first[0]

    return _served(edit)(behaviour)


def _body(function: Callable[[bytes], bytes]) -> Change:
    return _served(lambda status, headers, body: (status, headers, function(body)))


def _status(status: str) -> Change:
    return _served(lambda _, headers, body: (status, headers, b"" if status.startswith("204") else body))


CHANGES: dict[str, Change] = {
    "metrics-not-found": _status("404 Not Found"),
    "metrics-cut-off": _body(lambda body: body[:-3]),
    "metrics-frozen": _frozen,
}
