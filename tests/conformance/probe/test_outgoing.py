"""The bytes that the suite makes itself: the intended messages, and ClientHellos that OpenSSL understands."""

from __future__ import annotations

import contextlib
import json
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.tls_contexts import server_context
from cbspec_conformance.judging.errors import KitError
from cbspec_conformance.probe.client_hello import client_hello, modern_client_hello
from cbspec_conformance.probe.texts import check_own, frames, intended, spell
from cbspec_conformance.probe.wire import alert_name
from tests.conformance.build import TUNNEL

NEGATIVE = {**TUNNEL, "local_port": -1}


@pytest.mark.parametrize(
    ("request_", "text", "words"),
    [
        (TUNNEL, spell(NEGATIVE), "changed its meaning"),
        (TUNNEL, json.dumps(TUNNEL, indent=1).encode(), "one line"),
        (NEGATIVE, spell(NEGATIVE), "meant to be valid"),
    ],
)
def test_an_unintended_request_is_an_error_of_the_kit(request_: dict[str, Any], text: bytes, words: str) -> None:
    check_own(TUNNEL, spell(TUNNEL), "")
    assert intended(b'{"type":"heartbeat"}', "heartbeat").fault == ""
    assert intended(b'{"type":"heartbeat","type":"heartbeat"}', "heartbeat").fault
    assert intended(b"words", "").value is None
    with pytest.raises(KitError, match=words):
        check_own(request_, text, "")


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=4))
def test_fragments_are_one_masked_message(parts: list[bytes]) -> None:
    sent = frames(parts)
    assert [frame[0] & 0x80 for frame in sent] == [0] * (len(parts) - 1) + [0x80]
    assert all(frame[1] & 0x80 for frame in sent)


VERSIONS = {
    "1.0": (b"\x03\x01", ssl.TLSVersion.TLSv1),
    "1.1": (b"\x03\x02", ssl.TLSVersion.TLSv1_1),
    "1.2": (b"\x03\x03", ssl.TLSVersion.TLSv1_2),
}


def answer(context: ssl.SSLContext, data: bytes) -> bytes:
    """Return OpenSSL's answer to `data`."""
    server = TlsLayer(context, server_side=True)
    with contextlib.suppress(TlsFailed):
        server.receive_data(data)
    return server.data_to_send()


@pytest.mark.parametrize(("name", "sent"), [("relay.example", "relay.example"), ("127.0.0.1", None), ("::1", None)])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_answers_with_the_version_if_it_allows_it_else_with_an_alert(
    version: str, name: str, sent: str | None, certificates: Path
) -> None:
    hello = client_hello(version, name)
    assert hello[11:43] != client_hello(version, name)[11:43]  # random bytes
    assert alert_name(answer(server_context(certificates / "our-server.pem"), hello)) == "protocol_version"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "our-server.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, own: names.append(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[version][1]
    data = answer(context, hello)
    assert (data[:1], data[5:6], data[9:11]) == (b"\x16", b"\x02", VERSIONS[version][0])  # a ServerHello
    assert names == [sent]


@pytest.mark.parametrize(("suite", "common"), [(0x1302, True), (0x1305, False)])
def test_a_modern_hello_draws_a_server_hello_if_both_sides_have_a_suite(
    suite: int, common: bool, certificates: Path
) -> None:
    reply = answer(
        server_context(certificates / "our-server.pem"), modern_client_hello("localhost", (suite,), (0x001D,))
    )
    assert (reply[:1] == b"\x16" and reply[5:6] == b"\x02") is common
    assert bool(alert_name(reply)) is not common
