"""A tunnel_id that doesn't come back as it came, each way on its own."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.compose import Change, answers, put, turn
from cbspec_simulator.variations.deviations.kind import Deviation

_ANSWER = "tunnel_response"

TURNED: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("lower-case", "in lower case", str.lower),
    ("html-escaped", "escaped for HTML", html.escape),
    ("html-unescaped", "with HTML's references resolved", html.unescape),
    ("url-decoded", "with per cent codes resolved", unquote),
    ("escapes-decoded-twice", "with \\u escapes resolved twice", lambda name: _resolved(name)),
    (
        "beyond-16-bits-lost",
        "without characters beyond U+FFFF",
        lambda name: re.sub("[\U00010000-\U0010ffff]", "", name),
    ),
    ("quotes-lost", "without quotation marks", lambda name: name.replace('"', "")),
    ("backslashes-doubled", "with every backslash doubled", lambda name: name.replace("\\", "\\\\")),
    ("spaces-collapsed", "with white space made one space", lambda name: re.sub(r"\s+", " ", name).strip()),
    ("composed", "in Unicode's canonical composition", lambda name: unicodedata.normalize("NFC", name)),
    ("mojibake", "with its bytes read as Latin-1", lambda name: name.encode().decode("latin-1")),
    ("placeholders-filled", "with ${x} and {{x}} filled in", lambda name: re.sub(r"\$\{\w+\}|\{\{\w+\}\}", "", name)),
    ("cut-at-64", "cut after 64 characters", lambda name: name[:64]),
    ("cut-at-nul", "only up to a NUL", lambda name: name.partition("\0")[0]),
    ("cut-at-65535", "cut after 65,535 characters", lambda name: name[:65535]),
    ("cut-at-255", "cut after 255 characters", lambda name: name[:255]),
    ("with-suffix", "with something behind it", lambda name: f"{name}#1"),
    ("with-prefix", "with something before it", lambda name: f"tunnel:{name}"),
    ("last-part-only", "without what stands before its last slash", lambda name: name.rpartition("/")[2]),
    ("first-part-only", "without what stands behind its first hash", lambda name: name.partition("#")[0]),
)
"""End of the id, in what way the tunnel_id comes back, and what makes it so."""


def _resolved(name: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), name)


def _asked(exchange: AnswerContext) -> TunnelInfo | None:
    return exchange.request if isinstance(exchange.request, TunnelInfo) else None


def _remembered(holder: Callable[[AnswerContext], object]) -> Change:
    """Name the tunnel that was asked for before, by the same holder."""

    def change(behaviour: Behaviour) -> Behaviour:
        last: dict[object, str] = {}

        def edit(body: Body, exchange: AnswerContext) -> Body:
            request = _asked(exchange)
            if request is None:
                return body
            before = last.get(holder(exchange), request.tunnel_id)
            last[holder(exchange)] = request.tunnel_id
            return {**body, "tunnel_id": before}

        return answers(_ANSWER, edit)(behaviour)

    return change


def _elsewhere(behaviour: Behaviour) -> Behaviour:
    """Name the tunnel that another connection asked for last."""
    last: dict[tuple[int, int], str] = {}

    def edit(body: Body, exchange: AnswerContext) -> Body:
        request, session = _asked(exchange), exchange.connection
        if request is None:
            return body
        key = id(session.relay), session.number
        others = [name for other, name in last.items() if other[0] == key[0] and other != key]
        last[key] = request.tunnel_id
        return {**body, "tunnel_id": others[-1] if others and exchange.nth > 1 else request.tunnel_id}

    return answers(_ANSWER, edit)(behaviour)


DEVIATIONS = (
    *(
        Deviation(
            f"tunnel-id-{end}",
            "CB-TUN-002",
            f"The tunnel_response names the tunnel {how}.",
            answers(_ANSWER, turn("tunnel_id", made)),
        )
        for end, how, made in TURNED
    ),
    Deviation(
        "tunnel-id-of-the-one-before",
        "CB-TUN-002",
        "The tunnel_response names the tunnel that the connection asked for before.",
        _remembered(lambda exchange: (id(exchange.connection.relay), exchange.connection.number)),
    ),
    Deviation(
        "tunnel-id-of-another-connection",
        "CB-TUN-002",
        "From its second tunnel on a connection is told what another one asked for.",
        _elsewhere,
    ),
    Deviation(
        "tunnel-id-is-the-tenant",
        "CB-TUN-002",
        "The tunnel_response names the tenant in the tunnel's stead.",
        answers(
            _ANSWER,
            put("tunnel_id", lambda exchange: asked.tenant_id if (asked := _asked(exchange)) is not None else ""),
        ),
    ),
)
