"""The HTTP server of the controls leaves nothing behind, and the process's signals alone."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import ControlSettings, Listen

CONTROLLED = Config(listen=Listen(port=0), control=ControlSettings(port=0))


async def test_nothing_is_left_behind() -> None:
    async with Simulator(CONTROLLED) as simulator:
        assert simulator.control_url
        port = int(simulator.control_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # a client that never asks
    assert simulator.control_url is None
    assert await reader.read() == b""
    writer.close()
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


async def test_signals_are_left_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with Simulator(CONTROLLED):
        await asyncio.sleep(0)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_ipv6() -> None:
    async with Simulator(Config(listen=Listen(port=0), control=ControlSettings(host="::1", port=0))) as simulator:
        assert simulator.control_url
        assert simulator.control_url.startswith("http://[::1]:")
