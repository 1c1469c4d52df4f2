"""Requests that arrive together, in one TLS record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging import judge
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange


def send_together(
    session: ProbeSession,
    requests: Sequence[dict[str, Any]],
    *,
    invalid: str = "",
    encode: Callable[[object], bytes] | None = None,
) -> Exchange:
    """Send requests at once and return all their answers as one exchange.

    `invalid` describes the mistake in one of them; `encode` is another legal encoding.
    """
    noted = [session.note(request, meant=invalid, encode=encode) for request in requests]
    return judge.with_room(session.together([message for message, _ in noted], b"".join(data for _, data in noted)))


def all_answered(
    session: ProbeSession, requests: Sequence[dict[str, Any]], *, encode: Callable[[object], bytes] | None = None
) -> None:
    """Check that requests sent at once draw an answer each, by type; CB-MSG-004 judges further answers."""
    exchange = send_together(session, requests, encode=encode)
    judge.all_answered(exchange, [SUCCESS_TYPES[request["type"]] for request in requests])
