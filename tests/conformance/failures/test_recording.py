"""Exchanges that no failure file holds; tests/conformance/replay/test_replay.py plays those that it does."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.failures.recording import record
from cbspec_conformance.record.conclusions import INVARIANT
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message, Record, Transcript
from tests.conformance.build import HEARTBEAT, left, opened, sent

ADDRESS = "127.0.0.1:8080"


def recorded(records: list[Record], request: Message) -> dict[str, Any]:
    return record(Transcript(records=records), [Exchange(request)], INVARIANT, Recipes(), ADDRESS)


def test_unusual_bytes_are_recorded() -> None:
    request = sent(HEARTBEAT)
    (_, send) = recorded([opened(), request, left(data=request.text + b"\r\n")], request)["steps"]
    assert send["wire"] == {"text": request.text.decode() + "\r\n"}


def test_an_exchange_that_cannot_be_played_is_not_recorded() -> None:
    request = sent(HEARTBEAT)
    secret = sent({"type": "auth", "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"})
    assert recorded([opened(1, "127.0.0.1:9"), request], request) == {}  # another relay than the target
    assert recorded([opened(), request, left(data=b"x" * 100_000)], request) == {}
    assert recorded([opened(), secret, left(data=secret.text + b"\n")], secret) == {}
    assert record(Transcript(records=[opened()]), [], INVARIANT, Recipes(), ADDRESS) == {}
    assert record(Transcript(records=[request]), [Exchange(request)], None, Recipes(), ADDRESS) == {}
