"""Source: Notes / all connections must use TLS 1.3; RFC 8446, 4.6.3, 5 and 6. Records, key updates and the end.

A faulty record or message is followed by a valid request: an answer to it shows that the relay went on as if nothing
had happened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.client_hello import Offer
from cbspec_conformance.probe.tls_client import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    CLOSE_NOTIFY,
    HANDSHAKE,
    NotAgreed,
    TlsClient,
)
from cbspec_conformance.probe.tls_keys import APPLICATION_DATA
from cbspec_conformance.relay.tls_by_hand import SERVED, HandMade
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest

_FLOOD = 1000  # KeyUpdates
_LARGEST = 16 * 1024  # bytes of plain text in a record
_HELLO = Offer().message("localhost", bytes(32), ())
_NO_REPLY = "an answer without a KeyUpdate before it"


@requirement("CB-TLS-009")
def test_key_update(relay: RelayUnderTest) -> None:
    """Update the keys before a request and in the middle of one, with and without asking for a reply."""
    hand = HandMade(relay)
    half = len(hand.request) // 2

    def updated(count: int, *, reply: bool, inside: bool, client: TlsClient) -> str:
        client.handshake()
        sent = client.sealed(APPLICATION_DATA, hand.request[:half]) if inside else b""
        sent += b"".join(client.key_update(reply=reply) for _ in range(count))
        client.send_raw(sent + client.sealed(APPLICATION_DATA, hand.request[half if inside else 0 :]))
        outcome = hand.outcome(client)
        return outcome or (_NO_REPLY if reply and not client.updates else SERVED)

    attempts = {
        "a KeyUpdate": (1, False, False),
        "a KeyUpdate that asks for one": (1, True, False),
        "a KeyUpdate inside a request": (1, False, True),
        "a KeyUpdate inside a request, that asks for one": (1, True, True),
        "five KeyUpdates that ask for one": (5, True, False),
    }

    def attempt(count: int, reply: bool, inside: bool) -> Callable[[], str]:
        return partial(hand.attempted, None, partial(_call, updated, count, reply, inside))

    hand.each(
        "an answer under the new keys",
        {name: attempt(*each) for name, each in attempts.items()},
        {name: attempt(0, False, inside) for name, (*_, inside) in attempts.items()},  # as many records
    )


def _call(updated: Callable[..., str], count: int, reply: bool, inside: bool, client: TlsClient) -> str:
    return updated(count, reply=reply, inside=inside, client=client)


@requirements("CB-TLS-010", "CB-TLS-023")
def test_sizes_of_records(relay: RelayUnderTest, identifier: str) -> None:
    """Send a request in records of a byte, in padded ones, right after the Finished, and between empty records."""
    hand = HandMade(relay)
    text = hand.request

    def sent(records: Callable[[TlsClient], list[bytes]], client: TlsClient) -> str:
        client.handshake()
        client.send_raw(b"".join(records(client)))
        return hand.outcome(client)

    def together(client: TlsClient) -> str:
        client.greet()
        finished = client.agree()
        assert client.writing is not None
        record = client.writing.seal(HANDSHAKE, finished)
        client.begin()
        client.send_raw(record + client.sealed(APPLICATION_DATA, text))
        return hand.outcome(client)

    def by(parts: list[tuple[bytes, int]]) -> Callable[[TlsClient], str]:
        return partial(sent, lambda client: [client.sealed(APPLICATION_DATA, data, padding) for data, padding in parts])

    half = len(text) // 2
    empty = {
        "an empty record before the request": by([(b"", 0), (text, 0)]),
        "empty records inside the request": by([(text[:half], 0), (b"", 0), (b"", 0), (text[half:], 0)]),
    }
    sizes = {
        "records of one byte": by([(text[at : at + 1], 0) for at in range(len(text))]),
        "a padded record": by([(text, 200)]),
        "a record padded to the largest size": by([(text, _LARGEST - len(text))]),
        "the request right after the Finished": together,
    }
    attempts = empty if identifier == "CB-TLS-023" else sizes
    hand.each(
        "an answer to the request", {name: partial(hand.attempted, None, each) for name, each in attempts.items()}
    )


@requirements("CB-TLS-017", "CB-TLS-018", "CB-TLS-019", "CB-TLS-020", "CB-TLS-025")
def test_faults_end_the_connection(relay: RelayUnderTest, identifier: str) -> None:
    """Send faulty records, messages out of order, data after close_notify, or half a request, each on a connection."""
    hand = HandMade(relay)
    for name, fault in _FAULTS[identifier].items():
        for _ in range(_TIMES.get(identifier, 1)):
            outcome = _after(hand, fault)
            if outcome == SERVED:
                raise Broken(f"nothing that is acted on after {name}", "an answer to the request")
            if outcome.startswith("no answer"):
                break  # waiting again would take long
        if outcome.startswith("no answer") and identifier in _MUST_END and name not in _MAY_WAIT:
            hand.control()
            if (outcome := _after(hand, fault)).startswith("no answer"):
                raise Broken(f"the end of the connection after {name}", f"a connection that stays open; {outcome}")


Fault = Callable[[TlsClient, bytes], None]


def _after(hand: HandMade, fault: Fault) -> str:
    """Return the outcome of a request after a fault."""

    def attempt(client: TlsClient) -> str:
        fault(client, hand.request)
        return hand.outcome(client)

    return hand.attempted(None, attempt)


def _handshaken(spoilt: Callable[[TlsClient, bytes], bytes]) -> Fault:
    """Return a fault after the handshake: bytes that replace or precede the request."""

    def fault(client: TlsClient, request: bytes) -> None:
        client.handshake()
        client.send_raw(spoilt(client, request))

    return fault


def _before(kind: int, data: bytes) -> Fault:
    """Return a fault: a record of some content type before the request."""
    return _handshaken(lambda client, request: client.sealed(kind, data) + client.sealed(APPLICATION_DATA, request))


def _raw(record: bytes) -> Fault:
    """Return a fault: bytes without encryption before the request."""
    return _handshaken(lambda client, request: record + client.sealed(APPLICATION_DATA, request))


def _flipped(place: int) -> Fault:
    def spoilt(client: TlsClient, request: bytes) -> bytes:
        record = bytearray(client.sealed(APPLICATION_DATA, request))
        record[place] ^= 1
        return bytes(record) + client.sealed(APPLICATION_DATA, request)

    return _handshaken(spoilt)


def _repeated(client: TlsClient, request: bytes) -> bytes:
    record = client.sealed(APPLICATION_DATA, b"\n")
    return record + record + client.sealed(APPLICATION_DATA, request)


def _unfinished(client: TlsClient, request: bytes) -> None:
    """Use the keys for application data without sending the Finished."""
    client.greet()
    client.agree()
    client.begin()
    client.send(request)


def _wrong_finished(client: TlsClient, request: bytes) -> None:
    client.greet()
    finished = client.agree()
    client.finish(finished[:-1] + bytes([finished[-1] ^ 1]))
    client.send(request)


def _instead(kind: int, data: bytes | None, client: TlsClient, request: bytes) -> None:
    """Send a record before the Finished; `data` of None is the request."""
    client.greet()
    finished = client.agree()
    client.send_raw(client.sealed(kind, request if data is None else data))
    client.finish(finished)
    client.send(request)


def _closed(client: TlsClient, request: bytes) -> bytes:
    return client.sealed(ALERT, CLOSE_NOTIFY) + client.sealed(APPLICATION_DATA, request)


def _closed_inside(client: TlsClient, request: bytes) -> bytes:
    half = len(request) // 2
    first = client.sealed(APPLICATION_DATA, request[:half]) + client.sealed(ALERT, CLOSE_NOTIFY)
    return first + client.sealed(APPLICATION_DATA, request[half:])


def _cut_off(client: TlsClient, request: bytes) -> None:
    """End the stream inside a message, without close_notify."""
    client.handshake()
    text = request.rstrip()
    client.send(text.removesuffix(b"}"))
    with contextlib.suppress(OSError):
        client.tcp.finish()


def _cut_record(client: TlsClient, request: bytes) -> None:
    """End the stream inside a record, and with it inside a message."""
    client.handshake()
    client.send_raw(client.sealed(APPLICATION_DATA, request)[:-20])
    with contextlib.suppress(OSError):
        client.tcp.finish()


_FAULTS: dict[str, dict[str, Fault]] = {
    "CB-TLS-017": {
        "a record with a changed tag": _flipped(-1),
        "a record with a changed byte": _flipped(5),
        "a record that is sent twice": _handshaken(_repeated),
        "an unencrypted record": _handshaken(
            lambda client, request: b"\x17\x03\x03" + len(request).to_bytes(2, "big") + request
        ),
        "an unencrypted ClientHello": _raw(b"\x16\x03\x03" + len(_HELLO).to_bytes(2, "big") + _HELLO),
        "a record without a content type": _before(0, b""),
        "a record of unknown type": _before(99, b"x"),
    },
    "CB-TLS-018": {
        "a wrong Finished": _wrong_finished,
        "no Finished": _unfinished,
        "application data before the Finished": partial(_instead, APPLICATION_DATA, None),
        "a KeyUpdate before the Finished": partial(_instead, HANDSHAKE, b"\x18\x00\x00\x01\x00"),
        "a second ClientHello": _before(HANDSHAKE, _HELLO),
        "a HelloRequest of TLS 1.2": _before(HANDSHAKE, bytes(4)),
        "a second Finished": _before(HANDSHAKE, b"\x14\x00\x00\x20" + bytes(32)),
        "a handshake message of unknown type": _before(HANDSHAKE, b"\x63\x00\x00\x01\x00"),
    },
    "CB-TLS-019": {
        "close_notify": _handshaken(_closed),
        "close_notify inside it": _handshaken(_closed_inside),
        "a fatal alert": _before(ALERT, b"\x02\x50"),
    },
    "CB-TLS-025": {"a record that is too large": _before(APPLICATION_DATA, b" " * (_LARGEST + 500))},
    "CB-TLS-020": {"half a request and a FIN": _cut_off, "half a record and a FIN": _cut_record},
}
_MUST_END = ("CB-TLS-017", "CB-TLS-018", "CB-TLS-025")
_TIMES = {"CB-TLS-019": 3}  # a TLS library that reads ahead may act on later data in one attempt, not in the next
_MAY_WAIT = ("no Finished",)  # some servers skip what they can't decrypt, and wait for the Finished


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-TLS-109")
def test_flood_of_key_updates(relay: RelayUnderTest) -> None:
    """Send 1,000 KeyUpdates that ask for one, then a request; a new connection must be served after it."""
    hand = HandMade(relay)
    with hand.connected() as client:
        try:
            client.handshake()
        except NotAgreed as error:
            raise Inconclusive(str(error)) from None
        client.send_raw(b"".join(client.key_update(reply=True) for _ in range(_FLOOD)))
        outcome = hand.ask(client)
        some = "one for each" if client.updates >= _FLOOD else "fewer" if client.updates else "none"
    relay.log.saw(f"answered; KeyUpdates of its own: {some}" if outcome == SERVED else _told(outcome))
    hand.control()


@requirement("CB-TLS-110")
def test_alerts_after_faults(relay: RelayUnderTest) -> None:
    """Record how the relay ends a connection after some faults."""
    hand = HandMade(relay)
    for identifier, name in (
        ("CB-TLS-017", "a record with a changed tag"),
        ("CB-TLS-025", "a record that is too large"),
        ("CB-TLS-018", "a wrong Finished"),
        ("CB-TLS-018", "a second ClientHello"),
    ):
        outcome = _after(hand, _FAULTS[identifier][name])
        relay.log.saw(_told(outcome), of=name)
    for name, record in (("change_cipher_spec", CHANGE_CIPHER_SPEC), ("an invalid KeyUpdate", b"")):
        outcome = _after(hand, _raw(record) if record else _before(HANDSHAKE, b"\x18\x00\x00\x01\x02"))
        relay.log.saw("ignored" if outcome == SERVED else _told(outcome), of=name)


def _told(outcome: str) -> str:
    """Return an outcome in words that are the same in every run."""
    return "no answer" if outcome.startswith("no answer") else outcome or "an answer"
