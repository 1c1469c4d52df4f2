"""Hand-made messages and exchanges for tests of pure functions."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from cbspec_conformance.record.decoding import Decoded, decode
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Message, Opened
from cbspec_schemas import examples

_PAGE: dict[str, dict[str, Any]] = {
    each.name.removesuffix("-page"): json.loads(each.text) for each in examples() if each.name.endswith("-page")
}
"""The specification's own messages by type."""

HELLO, HELLO_RESPONSE = ({**_PAGE[kind], "features": ["tls"]} for kind in ("hello", "hello_response"))
AUTH, TUNNEL, HEARTBEAT = _PAGE["auth"], _PAGE["tunnel_info"], _PAGE["heartbeat"]
AUTH_RESPONSE, TUNNEL_RESPONSE = _PAGE["auth_response"], _PAGE["tunnel_response"]
HEARTBEAT_RESPONSE = _PAGE["heartbeat_response"]

REQUESTS = {"hello": HELLO, "auth": AUTH, "tunnel_info": TUNNEL, "heartbeat": HEARTBEAT}
SUCCESSES = dict(zip(REQUESTS, (HELLO_RESPONSE, AUTH_RESPONSE, TUNNEL_RESPONSE, HEARTBEAT_RESPONSE), strict=True))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value."""


def error(code: object = "invalid_tunnel_info", message: object = "no") -> dict[str, object]:
    """Return an error as a relay sends it."""
    return {"type": "error", "code": code, "message": message}


def sent(value: object, connection: int = 1) -> Message:
    """Return a message that the suite sent."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Message(0.0, connection, Direction.SENT, text, Decoded(value if isinstance(value, dict) else None))


def received(value: object, *, binary: bool = False, connection: int = 1) -> Message:
    """Return a message from the relay; a value other than bytes is encoded as JSON."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Message(0.1, connection, Direction.RECEIVED, text, decode(text), binary)


def exchange(request: object, *answers: object, **facts: Any) -> Exchange:  # noqa: ANN401 - Exchange's own members
    """Return the exchange of a request (None: no request) and its answers."""
    asked = None if request is None else sent(request)
    return Exchange(asked, tuple(a if isinstance(a, Message) else received(a) for a in answers), **facts)


def opened(connection: int = 1, address: str = "127.0.0.1:8080") -> Opened:
    """Return the begin of a connection."""
    return Opened(0.0, connection, address, "127.0.0.1:50000", "tcp", "TLSv1.3", "TLS_AES_256_GCM_SHA384")


def left(connection: int = 1, data: bytes = b"x") -> Bytes:
    """Return bytes that the suite sent."""
    return Bytes(0.0, connection, Direction.SENT, data)


def ended(how: End, detail: str = "") -> Ended:
    """Return the end of the connection of `exchange`."""
    return Ended(0.2, 1, how, detail)
