"""The decisive answer of an exchange."""

from __future__ import annotations

import pytest

from cbspec_conformance.record.exchange import Exchange
from tests.conformance.build import HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, error, exchange


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (exchange(TUNNEL), None),
        (exchange(TUNNEL, TUNNEL_RESPONSE), "tunnel_response"),
        (exchange(TUNNEL, HEARTBEAT_RESPONSE, TUNNEL_RESPONSE), "tunnel_response"),
        (exchange(TUNNEL, HEARTBEAT_RESPONSE, error()), "error"),
        (exchange(TUNNEL, b"x", TUNNEL_RESPONSE), "tunnel_response"),
        (exchange({"type": "cbspec_unknown"}, HEARTBEAT_RESPONSE, error()), "error"),
        (exchange(None, HEARTBEAT_RESPONSE), "heartbeat_response"),
    ],
)
def test_decisive_answer(seen: Exchange, counts: str | None) -> None:
    assert (seen.answer.type if seen.answer else None) == counts


def test_repr_has_no_secrets() -> None:
    assert "s3cret" not in repr(exchange(TUNNEL, secrets=("s3cret",)))
