"""The transcript of a local relay."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from cbspec_simulator import LocalRelay
from cbspec_simulator.observe.transcript import TranscriptEntry
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO, tunnel


def test_entries_are_in_order_and_without_tokens(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        token = relay.token()
        client.name(HELLO)
        client.name({"type": "auth", "token": token})
        client.name(tunnel("mine"))
    relay.transcript.wait_for("ended")
    entries = list(relay.transcript)
    assert [entry.event for entry in entries] == ["connected", *["request", "answer"] * 3, "ended"]
    assert len(relay.transcript) == len(entries) == 8
    assert [entry.type for entry in relay.transcript.requests()] == ["hello", "auth", "tunnel_info"]
    (requested,) = relay.transcript.requests("tunnel_info")
    (answered,) = relay.transcript.answers("tunnel_response")
    assert requested.message == tunnel("mine")
    assert (answered.message["tunnel_id"], answered.tenant, answered.connection) == ("mine", "tenant-001", 1)
    assert token not in str(relay.transcript)
    assert '-> {"type":"hello"' in str(relay.transcript)
    relay.transcript.clear()
    assert str(relay.transcript) == ""
    with RawClient.to(relay) as client:
        client.names(*[BEAT] * 120)
    shown = str(relay.transcript).splitlines()
    assert (shown[0], len(shown)) == (f"... {len(relay.transcript) - 200} entries before", 201)


def test_an_entry_is_returned_at_once_or_awaited(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        client.enter()
        assert relay.transcript.wait_for("request", count=2, timeout=0.001).type == "auth"
        first = relay.transcript.wait_for("answer", "hello_response")
        listening = threading.Event()

        def is_heartbeat(entry: TranscriptEntry) -> bool:
            listening.set()
            return entry.type == "heartbeat"

        def beat() -> None:
            listening.wait()
            client.send(BEAT, BEAT)

        later = threading.Thread(target=beat)
        later.start()
        assert relay.transcript.wait_for("request", where=is_heartbeat, after=first, count=2).number > first.number + 2
        later.join()
        with pytest.raises(TimeoutError) as caught:
            relay.transcript.wait_for("answer", "error", count=2, timeout=0.01)
    assert str(caught.value).startswith("no answer error 2 times within 0.01 s; the transcript:\n")
    assert "hello_response" in str(caught.value)


async def test_a_coroutine_waits_without_blocking_its_loop_until_it_is_cancelled(relay: LocalRelay) -> None:
    waiting = asyncio.create_task(relay.transcript.async_wait_for("request", "hello"))
    with RawClient.to(relay) as client:
        await asyncio.sleep(0)
        client.send(HELLO)
        assert (await waiting).type == "hello"
    with anyio.move_on_after(0.02) as scope:
        await relay.transcript.async_wait_for("request", "auth", timeout=0.2)
    assert scope.cancelled_caught
