"""TCP connections without blocking the event loop: addresses in a thread, then "Happy Eyeballs" (RFC 8305)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from aiohappyeyeballs import start_connection

from cbspec.profile.dialling import DELAY, Address, resolve


async def reach(host: str, port: int) -> socket.socket:
    """Return a connected socket; the addresses of the host are tried in turns, without waiting for the last one.

    Raises OSError with the reason, and ValueError or OverflowError for an impossible host or port.
    """
    found = await _addresses(host, port)
    return await start_connection(
        [(each.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", each.sockaddr) for each in found],
        happy_eyeballs_delay=DELAY,
    )


async def _addresses(host: str, port: int) -> list[Address]:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return resolve(host, port)  # of a number, nothing is looked up
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Address]] = loop.create_future()

    def settle(result: list[Address] | Exception) -> None:
        if found.done():
            return
        if isinstance(result, Exception):
            found.set_exception(result)
        else:
            found.set_result(result)

    def look_up() -> None:
        result: list[Address] | Exception
        try:
            result = resolve(host, port)
        except Exception as error:  # raised by the caller
            result = error
        with suppress(RuntimeError):  # the loop was closed in the meantime
            loop.call_soon_threadsafe(settle, result)

    # The loop's own executor is joined at the end of the program, so that a slow name server would delay the end.
    threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
    return await found
