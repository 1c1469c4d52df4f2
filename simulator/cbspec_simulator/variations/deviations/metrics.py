"""Ways to be wrong about metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cbspec_simulator.relay.behaviour import WsgiApp
from cbspec_simulator.variations.compose import Change, part
from cbspec_simulator.variations.deviations.kind import Deviation

Edit = Callable[[str, list[tuple[str, str]], bytes], tuple[str, list[tuple[str, str]], bytes]]


def served(edit: Edit) -> Change:
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


def _added(lines: bytes) -> Edit:
    return lambda status, headers, body: (status, headers, body + lines)


_HISTOGRAM = b'# TYPE h histogram\nh_bucket{le="1"} 1\n'
_TYPED = b"# TYPE cloudbridge_open gauge\n"

UNREADABLE: tuple[tuple[str, str, Edit], ...] = (
    ("empty", "The metrics are empty.", lambda status, headers, _: (status, headers, b"")),
    ("json", "The metrics are JSON.", lambda status, headers, _: (status, headers, b'{"connections": 1}\n')),
    ("cut-off", "The metrics end in the middle of a line.", lambda status, headers, body: (status, headers, body[:-3])),
    ("not-utf8", "A label's value isn't UTF-8.", _added(b'cloudbridge_open{tenant="\xff"} 1\n')),
    ("name-with-dash", "A sample's name holds a dash.", _added(b"cloudbridge-open 1\n")),
    ("name-begins-with-digit", "A sample's name begins with a digit.", _added(b"2xx_total 1\n")),
    ("label-without-quotes", "A label's value stands without quotes.", _added(b"cloudbridge_open{tenant=a} 1\n")),
    ("label-not-closed", "A sample's labels lack their closing brace.", _added(b'cloudbridge_open{tenant="a" 1\n')),
    ("quote-in-label", "A label's value holds a bare quotation mark.", _added(b'cloudbridge_open{tenant="a"b"} 1\n')),
    ("value-missing", "A sample has no value.", _added(b"cloudbridge_open\n")),
    ("value-with-comma", "A sample's value is written with a comma.", _added(b"cloudbridge_open 1,5\n")),
    ("value-with-unit", "A sample's value has a unit.", _added(b"cloudbridge_open 12ms\n")),
    ("timestamp-as-text", "A sample's time is a date.", _added(b"cloudbridge_open 1 2024-01-01T00:00:00Z\n")),
    ("unknown-type", "A TYPE line names no type.", _added(b"# TYPE cloudbridge_open number\ncloudbridge_open 1\n")),
    ("type-twice", "A metric has two TYPE lines.", _added(_TYPED + b"cloudbridge_open 1\n" + _TYPED)),
    ("histogram-without-inf", "A histogram has no bucket for +Inf.", _added(_HISTOGRAM + b"h_count 1\n")),
    (
        "histogram-not-cumulative",
        "A histogram's buckets each count for themselves.",
        _added(_HISTOGRAM + b'h_bucket{le="2"} 0\nh_bucket{le="+Inf"} 2\nh_count 2\n'),
    ),
    ("sample-twice", "A sample is there twice.", _added(b"cloudbridge_open 1\ncloudbridge_open 2\n")),
)
"""End of the id, what is wrong, and what makes it so."""

UNSERVED: tuple[tuple[str, str, str], ...] = (
    ("no-content", "204 No Content", "The metrics address answers 204."),
    ("unauthorized", "401 Unauthorized", "The metrics address answers 401."),
    ("broken", "500 Internal Server Error", "The metrics address answers 500."),
)
"""End of the id, the status, and what is wrong."""


def _with_status(status: str) -> Edit:
    return lambda _, headers, body: (status, headers, b"" if status.startswith("204") else body)


DEVIATIONS = (
    *(Deviation(f"metrics-{name}", "CB-MET-002", sentence, served(edit)) for name, sentence, edit in UNREADABLE),
    *(
        Deviation(f"metrics-{name}", "CB-MET-001", sentence, served(_with_status(status)))
        for name, status, sentence in UNSERVED
    ),
    Deviation(
        "metrics-not-found",
        "CB-MET-001",
        "The metrics address answers 404.",
        served(lambda _, headers, body: ("404 Not Found", headers, body)),
    ),
    Deviation(
        "metrics-html",
        "CB-MET-002",
        "The metrics address answers a page for people.",
        served(lambda status, _, __: (status, _HTML, b"<html><body>all is well</body></html>\n")),
    ),
    Deviation(
        "metrics-value-not-a-number",
        "CB-MET-002",
        "A sample's value is not a number.",
        served(lambda status, headers, body: (status, headers, body + b"cloudbridge_state fine\n")),
    ),
    Deviation(
        "metrics-frozen", "CB-MET-003", "The metrics never change.", lambda behaviour: served(_frozen())(behaviour)
    ),
)
