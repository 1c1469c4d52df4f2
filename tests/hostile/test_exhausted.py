"""Descriptors or disk space are exhausted: the relay keeps working and logs it once."""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

import pytest

from tests.hostile.attacks import tcp
from tests.support.client import RawClient
from tests.support.messages import BEAT
from tests.support.processes import Served, served

DESCRIPTORS = 64


def entered(relay: Served) -> RawClient:
    client = RawClient(relay.address).handshake()
    client.enter()
    return client


def is_served(client: RawClient) -> bool:
    return client.name(BEAT) == "heartbeat_response"


def test_connections_without_a_descriptor_are_served_once_others_close(tmp_path: Path) -> None:
    with served(tmp_path, limit=(resource.RLIMIT_NOFILE, DESCRIPTORS)) as relay, contextlib.ExitStack() as stack:
        before = stack.enter_context(entered(relay))
        held = [stack.enter_context(tcp(relay.address)) for _ in range(2 * DESCRIPTORS)]
        end = time.monotonic() + 20
        while "no more connections" not in relay.log_text and time.monotonic() < end:
            assert is_served(before)
        spent = relay.holding().processor
        assert before.is_silent(1.0)
        assert relay.holding().processor - spent < 0.5, "it doesn't spin"
        assert is_served(before)
        for sock in held:
            sock.close()
        with entered(relay) as after:
            assert is_served(after)
        assert relay.log_text.count("no more connections can be accepted (Too many open files)") == 1
        assert relay.log_text.count("\n") == 1, relay.log_text


@pytest.mark.parametrize("option", ["--transcript=/dev/full", "--transcript=file", "--log-level=debug"])
def test_a_full_disk_ends_the_transcript_or_the_log_only(option: str, tmp_path: Path) -> None:
    limit = None if option.endswith("full") else (resource.RLIMIT_FSIZE, 4096)
    with served(tmp_path, option.replace("=file", f"={tmp_path / 'transcript'}"), limit=limit) as relay:
        with entered(relay) as client:
            assert all(is_served(client) for _ in range(100))
        if "log" in option:
            assert len(relay.log_text) <= 4096
        else:
            assert relay.log_text.count("the transcript ends here: ") == relay.log_text.count("\n") == 1, relay.log_text
