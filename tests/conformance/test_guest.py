"""Relays that send too much: the suite's time and memory stay bounded, and it blames the right requirement."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.conformance.commands import run, verdict
from tests.conformance.tiny import accept, tiny_relay
from tests.support.relay import frame

MOST_MEMORY = 200.0
"""MiB: a run takes 80, and up to 155 with one long transcript in memory."""

CASES = "CB-HEL-001,CB-TUN-001"

# A process's peak includes that of its parent, so a small process runs the suite.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)
"""

_CHUNK = b"x" * (64 * 1024)

Excess = Callable[[bytes, bool], Iterable[bytes]]
"""Returns the output of a relay that sends too much, from its answer to a tunnel_info; the flag says WebSocket."""


def encode(text: bytes, websocket: bool) -> bytes:
    return frame(text) if websocket else text + b"\n"


def surplus_answers(reply: bytes, websocket: bool) -> Iterable[bytes]:
    surplus = encode(b'{"type":"heartbeat_response"}', websocket)
    return itertools.chain([encode(reply, websocket)], itertools.repeat(surplus * 1000))


def endless_line(reply: bytes, _: bool) -> Iterable[bytes]:
    return itertools.chain([reply[:-2]], itertools.repeat(_CHUNK))


def endless_fragments(reply: bytes, websocket: bool) -> Iterable[bytes]:
    return itertools.chain([encode(reply, websocket), frame(_CHUNK, 0x01)], itertools.repeat(frame(_CHUNK, 0x00)))


def large_answer(reply: bytes, websocket: bool) -> Iterable[bytes]:
    return [encode(reply[:-1] + b',"note":"' + b"no " * 700_000 + b'"}', websocket)]


@pytest.mark.parametrize(
    ("excess", "transport", "requirement"),
    [
        (surplus_answers, "websocket", "CB-MSG-004"),
        (endless_line, "tcp", "CB-MSG-002"),
        (endless_fragments, "websocket", "CB-MSG-002"),
        (large_answer, "tcp", ""),
    ],
)
def test_excess_is_bounded_and_blamed(excess: Excess, transport: str, requirement: str, tmp_path: Path) -> None:
    websocket = transport == "websocket"

    def answer(text: bytes) -> bytes | Iterable[bytes]:
        reply = accept(text)
        return excess(reply, websocket) if b'"type":"tunnel_info"' in text else reply

    with tiny_relay(answer, tmp_path, websocket=websocket) as endpoint:
        command = [sys.executable, "-m", "cbspec", "verify", str(endpoint), "--transport", transport]
        done = run("-c", MEASURED, *command, "--only", CASES, "--effort", "quick")
    assert int(done.text.split("peak ")[1].split()[0]) < MOST_MEMORY
    assert done.code == bool(requirement), done.text
    assert requirement in done.text
    assert verdict(done.text, "failed") >= bool(requirement)
    assert verdict(done.text, "passed") > 0
    assert "Mistakes of the kit" not in done.text
    assert "Traceback" not in done.text
