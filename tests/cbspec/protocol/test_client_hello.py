"""A client's first bytes: read as far as they go, whatever they are."""

from __future__ import annotations

import ssl

from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.client_hello import ClientHelloFacts, is_tls, read_client_hello
from cbspec.protocol.tls import TlsLayer
from cbspec.tls_contexts import Trust, client_context


def hello() -> bytes:
    context = client_context(Trust.ANY)
    context.set_alpn_protocols(["h2", "x"])
    return TlsLayer(context, server_side=False, server_name="relay.example").data_to_send()


HELLO = hello()
FACTS = ClientHelloFacts("relay.example", ("h2", "x"), ("TLSv1.3",))


def test_the_facts_of_a_client_hello_in_one_or_several_records() -> None:
    assert read_client_hello(HELLO) == FACTS
    pieces = [HELLO[5:][at : at + 50] for at in range(0, len(HELLO), 50)]
    records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert read_client_hello(records + b"\x17\x03\x03\0\1x") == FACTS


def test_a_client_without_a_list_offers_the_version_that_it_gives() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    data = TlsLayer(context, server_side=False, server_name="x").data_to_send()
    assert read_client_hello(data) == ClientHelloFacts("x", (), ("TLSv1.2",))


@given(st.integers(0, len(HELLO)), st.binary(max_size=100))
def test_broken_input_has_fewer_facts(cut: int, rest: bytes) -> None:
    for data in (HELLO[:cut], HELLO[:cut] + rest, rest):
        found = read_client_hello(data)
        assert len(found.server_name) <= 4 * len(data)
        assert is_tls(data) or found == ClientHelloFacts()
