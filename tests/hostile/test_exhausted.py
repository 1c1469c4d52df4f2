"""What runs out: descriptors, the disk. The relay goes on, and says so once."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.hostile.attacks import Target
from tests.support.client import BEAT
from tests.support.processes import served

DESCRIPTORS = 64


def beats(sock: ssl.SSLSocket) -> bool:
    """Say whether the relay answers."""
    sock.sendall(BEAT)
    return b"heartbeat_response" in sock.recv(4096)


def test_who_comes_when_no_descriptor_is_left_is_served_once_others_leave(tmp_path: Path) -> None:
    with served(tmp_path, limit=(resource.RLIMIT_NOFILE, DESCRIPTORS)) as relay, contextlib.ExitStack() as stack:
        target = Target(relay.address)
        before = stack.enter_context(target.greeted())
        held = [stack.enter_context(target.plain()) for _ in range(2 * DESCRIPTORS)]
        end = time.monotonic() + 20
        while "no more connections" not in relay.said and time.monotonic() < end:
            assert beats(before)
        spent, began = relay.holding().processor, time.monotonic()
        while time.monotonic() - began < 2:
            assert beats(before), "who was there is served on"
            time.sleep(0.02)
        assert relay.holding().processor - spent < 1.0, "it doesn't spin"
        for sock in held:
            sock.close()
        with target.greeted() as after:
            assert beats(after)
        assert relay.said.count("no more connections can be accepted (Too many open files)") == 1
        assert relay.said.count("\n") == 1, relay.said


@pytest.mark.parametrize("option", ["--transcript=/dev/full", "--transcript=file"])
def test_a_disk_that_is_full_ends_the_transcript_and_nothing_else(option: str, tmp_path: Path) -> None:
    limit = None if option.endswith("full") else (resource.RLIMIT_FSIZE, 4096)
    option = option.replace("=file", f"={tmp_path / 'transcript'}")
    with served(tmp_path, option, limit=limit) as relay:
        target = Target(relay.address)
        with target.greeted() as sock:
            assert all(beats(sock) for _ in range(100))
        assert relay.said.count("the transcript ends here: ") == 1, relay.said
        assert relay.said.count("\n") == 1, relay.said


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    with served(tmp_path, "--log-level=debug", limit=(resource.RLIMIT_FSIZE, 4096)) as relay:
        with Target(relay.address).greeted() as sock:
            assert all(beats(sock) for _ in range(200))
        assert relay.process.poll() is None
        assert relay.log.stat().st_size <= 4096


def test_a_backlog_of_connections_that_were_broken_off_is_passed_over(tmp_path: Path) -> None:
    with served(tmp_path) as relay:
        target = Target(relay.address)
        for _ in range(200):
            sock = socket.create_connection(relay.address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.close()
        with target.greeted() as after:
            assert beats(after)
        assert relay.said == ""
