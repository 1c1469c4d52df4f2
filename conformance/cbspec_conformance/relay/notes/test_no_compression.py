"""Source: Notes / no message compression is used."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from functools import partial

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.oracles.referee import is_closed
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.requests import with_tunnel_and_heartbeat
from cbspec_conformance.relay.upgrade import accepted_upgrade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.kinds import in_turn
from cbspec_conformance.target.relay import RelayUnderTest

_KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "zlib": zlib.compress,
    "deflate": partial(zlib.compress, wbits=-15),
}


@requirement("CB-CMP-001")
def test_output_is_not_compressed(relay: RelayUnderTest) -> None:
    """Open a tunnel and send a heartbeat; no answer may be compressed. The invariants check every other answer, too."""
    session = relay.authenticated()
    session.ask(relay.tunnel_info(session.tenant))
    if not session.ended:
        session.heartbeat()
    relay.log.judge_invariant("CB-CMP-001")


@requirement("CB-CMP-002")
@pytest.mark.parametrize("request_type", ["tunnel_info", "heartbeat"])
def test_compressed_input(relay: RelayUnderTest, request_type: str) -> None:
    """Send a request compressed in several ways; without compression it was accepted."""

    def check(session: ProbeSession, kind: str) -> None:
        data = _in_one_line(relay, request_type, _KINDS[kind])
        exchange = session.ask_text(data, meant=f"a {request_type}, compressed with {kind}", like=request_type)
        judge.not_accepted(exchange, "no success answer to compressed input")
        if not is_closed(data):
            session.close()  # a relay may take later messages for the rest of the text

    in_turn({kind: kind for kind in _KINDS}, lambda: with_tunnel_and_heartbeat(relay), check)


def _in_one_line(relay: RelayUnderTest, request_type: str, compress: Callable[[bytes], bytes]) -> bytes:
    """Return a compressed request without a line feed among its bytes, so that it is one message."""
    for spaces in range(200):
        data = compress(b" " * spaces + json.dumps(relay.request(request_type)).encode())
        if b"\n" not in data:
            return data
    raise NotExercised("no compressed form without a line feed was found")


@requirement("CB-CMP-003")
@pytest.mark.parametrize(
    "offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame"]
)
def test_deflate_is_not_agreed(relay: RelayUnderTest, offer: str) -> None:
    """Offer an extension that compresses in an opening handshake; the 101 response must not accept it."""
    response = accepted_upgrade(relay, {"Sec-WebSocket-Extensions": offer})
    agreed = response.headers.get("sec-websocket-extensions", "")
    if "deflate" in agreed.lower():
        raise Broken("a 101 response without an extension that compresses", f"Sec-WebSocket-Extensions: {agreed}")
