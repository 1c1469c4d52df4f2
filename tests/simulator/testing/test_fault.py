"""Faults that a test adds to its relay."""

from __future__ import annotations

from cbspec_simulator import LocalRelay
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO


def test_a_fault_strikes_until_the_end_of_its_with(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        with relay.fault("error", code="server_unavailable", when={"message": "hello"}) as fault:
            assert [client.name(HELLO), client.name(BEAT)] == ["server_unavailable", "unknown_message_type"]
            assert (fault.strikes, fault.matched) == (1, 1)
        assert client.name(HELLO) == "hello_response"
    assert fault.strikes == 1


def test_a_fault_stays_until_it_is_removed_or_the_relay_is_reset(relay: LocalRelay) -> None:
    steps = [{"kind": "error", "code": "teapot"}, {"kind": "pass"}]
    fault = relay.fault(sequence=steps, repeat=True, name="tea")
    assert repr(fault) == "<fault tea>"
    with RawClient.to(relay) as client:
        assert [client.name(HELLO) for _ in range(3)] == ["teapot", "hello_response", "teapot"]
        fault.remove()
        fault.remove()
        assert client.name(HELLO) == "hello_response"
    with relay.fault("drop") as fault:
        relay.reset()
        assert fault.strikes == 0


def test_held_messages_are_sent_on_release_or_removal(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client, relay.fault("hold", when={"message": "hello_response"}) as held:
        client.send(HELLO)
        relay.transcript.wait_for("answer", "hello_response")
        held.release()
        assert b"hello_response" in client.line()
        client.send(HELLO)
        relay.transcript.wait_for("answer", count=2)
        held.remove()
        assert client.line()
