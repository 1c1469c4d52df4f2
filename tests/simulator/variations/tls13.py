"""Handshakes and records that no TLS library sends, and how a relay reacts to each of them on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cbspec.profile.profile import Endpoint
from cbspec_conformance.probe.client_hello import Offer
from cbspec_conformance.probe.tcp import Tcp, tcp_connect
from cbspec_conformance.probe.tls_client import ALERT, CLOSE_NOTIFY, HANDSHAKE, NotAgreed, Ticket, TlsClient
from cbspec_conformance.probe.tls_keys import APPLICATION_DATA
from tests.support.client import PATIENCE
from tests.support.messages import HELLO, line

_HELLO: Final = line(HELLO)
_SHORT: Final = 0.5  # seconds without an answer after which a relay counts as silent
_SESSION: Final = bytes(range(32))


def _flipped(client: TlsClient) -> bytes:
    record = client.sealed(APPLICATION_DATA, _HELLO)
    return record[:-1] + bytes([record[-1] ^ 1])


def _cut_off(client: TlsClient) -> bytes:
    client.send(_HELLO.rstrip()[:-1])
    client.tcp.finish()
    return b""


_OFFERS: Final[Mapping[str, Offer]] = {
    "usual": Offer(),
    "no share": Offer(shares=()),
    "no share, and a session id": Offer(shares=(), session=_SESSION),
    "grease suite": Offer(suites=(0x0A0A, 0x1301, 0x1302, 0x1303)),
    "private extension": Offer(extensions={0xFE31: b"x"}),
    "grease share": Offer(groups=(0x2A2A, *Offer().groups), odd_shares=((0x2A2A, b"\0"),)),
    "newer version": Offer(versions=(0x0305, 0x0304)),
    "record of 1.1": Offer(record=b"\x03\x02"),
    "short session id": Offer(session=b"\x01\x02\x03"),
    "record_size_limit": Offer(extensions={28: b"\x02\x00"}),
}
_BEFORE_HELLO: Final[Mapping[str, Callable[[TlsClient], bytes]]] = {
    "key update": lambda client: client.key_update(reply=True),
    "101 key updates": lambda client: b"".join(client.key_update(reply=False) for _ in range(101)),
    "padding": lambda client: client.sealed(APPLICATION_DATA, b"\n", 100),
    "empty record": lambda client: client.sealed(APPLICATION_DATA, b""),
    "large record": lambda client: client.sealed(APPLICATION_DATA, b" " * 17_000),
    "changed record": _flipped,
    "second ClientHello": lambda client: client.sealed(HANDSHAKE, Offer().message("localhost", bytes(32), ())),
    "fatal alert": lambda client: client.sealed(ALERT, b"\x02\x50"),
    "close_notify": lambda client: client.sealed(ALERT, CLOSE_NOTIFY),
    "half a message": _cut_off,
}


def reactions(address: tuple[str, int]) -> dict[str, object]:
    """Return the reaction to each offer, each prelude to a hello, and 0-RTT data."""
    found: dict[str, object] = {name: _reaction(address, offer) for name, offer in _OFFERS.items()}
    found |= {name: _reaction(address, before=before) for name, before in _BEFORE_HELLO.items()}
    for size in (0, 1, 50):
        found[f"split by {size}"] = _reaction(address, fragment=size)
    for name, changes in (("one CCS", "once"), ("several CCS", "everywhere")):
        found[name] = [_reaction(address, Offer(session=_SESSION, shares=s), changes=changes) for s in ((), (0x1D,))]
    found["wrong Finished"] = _reaction(address, spoilt=True)
    with_ticket, again = _client(address), _client(address)
    for client in (with_ticket, again):
        client.handshake()
        client.send(_HELLO)
        client.receive(PATIENCE)
        client.close()
    found["random values differ"] = with_ticket.seen.random != again.seen.random
    if with_ticket.tickets:
        found["allowed early data"] = with_ticket.tickets[0].early
        found["early data"] = _reaction(address, ticket=with_ticket.tickets[0], early=_HELLO, ask=b"x\n")
    return found


def _client(
    address: tuple[str, int],
    offer: Offer | None = None,
    *,
    fragment: int = 0,
    changes: str = "",
    ticket: Ticket | None = None,
    early: bytes = b"",
) -> TlsClient:
    tcp = Tcp(tcp_connect(Endpoint(*address[:2]), None, PATIENCE))
    return TlsClient(
        tcp, "localhost", offer or Offer(), PATIENCE, fragment=fragment, changes=changes, ticket=ticket, early=early
    )


def _reaction(
    address: tuple[str, int],
    offer: Offer | None = None,
    *,
    before: Callable[[TlsClient], bytes] | None = None,
    spoilt: bool = False,
    ask: bytes = _HELLO,
    fragment: int = 0,
    changes: str = "",
    ticket: Ticket | None = None,
    early: bytes = b"",
) -> object:
    """Return the beginning of the first answer, how the connection ended, and facts of the handshake."""
    client = _client(address, offer, fragment=fragment, changes=changes, ticket=ticket, early=early)
    try:
        client.greet()
        finished = client.agree()
        client.finish(finished[:-1] + bytes([finished[-1] ^ spoilt]))
        prelude = before(client) if before is not None else b""
        if before is not _cut_off:
            client.send_raw(prelude + client.sealed(APPLICATION_DATA, ask))
        answer = client.receive(_SHORT)
    except NotAgreed as error:
        return str(error)
    finally:
        client.close()
    seen = client.seen
    facts = (seen.hello_extensions, tuple(seen.encrypted_extensions), seen.retried, seen.signature, len(seen.chain))
    sent = (seen.sessions, seen.records, client.largest > 600)
    return answer[:30], client.end, client.updates, *sent, *facts
