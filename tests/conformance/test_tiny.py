"""The simplest ways to be no CloudBridge relay: each is judged right, and soon; no refusal passes for nothing."""

from __future__ import annotations

import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.profile.identity import development_ca
from tests.conformance.commands import Done, verdict, verify
from tests.conformance.tiny import RELAYS, tiny_relay

A_MINUTE = 60.0
"""Seconds that a run may take, on a machine that has nothing else to do."""

NOT_OF_MESSAGES = ("CB-TLS", "CB-CMP-003", "CB-WSK-001")
"""What can be judged of a relay whatever it answers to messages."""


def judged(name: str, transport: str, folder: Path) -> Done:
    """Return how the run against a tiny relay ended; it takes less than a minute of an idle machine."""
    began = time.monotonic()
    with tiny_relay(RELAYS[name], folder, websocket=transport == "websocket") as endpoint:
        done = verify(str(endpoint), "--transport", transport, "-p", "no:randomly", "--examples", "5")
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - began < A_MINUTE * busy
    assert "Mistakes of the kit" not in done.text
    assert "Traceback" not in done.text
    return done


def passed(done: Done) -> int:
    return verdict(done.text, "passed")


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize(
    ("name", "broken"), [("refuses", "CB-HEL-001"), ("echoes", "CB-MSG-003"), ("babbles", "CB-MSG-001")]
)
def test_who_serves_nothing_passes_nothing(name: str, broken: str, transport: str, tmp_path: Path) -> None:
    done = judged(name, transport, tmp_path)
    assert done.code == 1, done.text
    assert f"did not pass: {broken}" in done.text
    assert verdict(done.text, "failed") == 1
    assert passed(done) <= sum(row.id.startswith(NOT_OF_MESSAGES) for row in REQUIREMENTS.values())


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_who_accepts_everything_fails_every_refusal(transport: str, tmp_path: Path) -> None:
    done = judged("accepts", transport, tmp_path)
    assert done.code == 1, done.text
    failed = done.text.split("did not pass: ")[1]
    for id_ in ("CB-AUT-005", "CB-AUT-012", "CB-TUN-003", "CB-TUN-010", "CB-UNK-001", "CB-TEN-002", "CB-MSG-005"):
        assert id_ in failed
    assert not {"CB-HEL-001", "CB-AUT-001", "CB-TUN-001"} & set(failed.replace(",", "").split())


@pytest.mark.parametrize("frame", [b"\x81", b"\x82\xff" + bytes([127]) * 8, b"\x82\x85\0\0\0\0hal"])
def test_a_frame_that_never_comes_whole_ends_the_connection_alone(frame: bytes, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(development_ca().ca_file))
    with (
        tiny_relay(RELAYS["accepts"], tmp_path, websocket=True) as endpoint,  # which raises what went wrong in it
        socket.create_connection((endpoint.host, endpoint.port), timeout=20) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: any\r\n\r\n" + frame)
        assert tls.recv(12) == b"HTTP/1.1 101"


@pytest.mark.parametrize("transport", ["tcp", "auto"])
def test_who_says_nothing_is_no_target(transport: str, tmp_path: Path) -> None:
    done = judged("is silent", transport, tmp_path)
    assert done.code == 3, done.text
    assert "completes the TLS handshake, but answers nothing within 5 s" in done.text
    assert "Requirements by chapter" not in done.text
