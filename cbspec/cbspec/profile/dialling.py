"""Blocking TCP connections to hosts with several addresses: "Happy Eyeballs" (RFC 8305)."""

from __future__ import annotations

import itertools
import os
import select
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

DELAY: Final = 0.25
"""Seconds after which the next address is tried, while the last one has not answered: RFC 8305, 5."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host; `sockaddr` has the form of its family."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def host(self) -> str:
        """The address without its port."""
        return str(self.sockaddr[0])


Ready = Callable[[Mapping[int, int], float], list[int]]
"""Waits as the function `ready` does."""


def ready(events: Mapping[int, int], seconds: float) -> list[int]:
    """Wait at most some seconds for events of `select.poll` on descriptors; return the descriptors that have some."""
    poller = select.poll()
    for descriptor, mask in events.items():
        poller.register(descriptor, mask)
    return [descriptor for descriptor, _ in poller.poll(ceil(seconds * 1000))]


class Dialler:
    """Connects to hosts. `kept` is the address of each host and port that answered first: no other is used later.

    Arguments: `ready` waits for sockets.
    """

    def __init__(self, ready: Ready = ready) -> None:
        self._ready = ready
        self.kept: dict[tuple[str, int], str] = {}
        self._many: set[tuple[str, int]] = set()

    def chosen(self, host: str, port: int) -> str:
        """Return the kept address of a host that has several, or ""."""
        return self.kept.get((host, port), "") if (host, port) in self._many else ""

    def connect(
        self,
        host: str,
        port: int,
        timeout: float,
        source: str | None = None,
        prepare: Callable[[socket.socket], object] = bool,
    ) -> socket.socket:
        """Return a socket, connected within `timeout` seconds; `prepare` sets options before it connects.

        Raises OSError with the reason, which names each address if there are several, and UnicodeError or OverflowError
        for an impossible host or port.
        """
        found = resolve(host, port, source)
        if len(found) > 1:
            self._many.add((host, port))
        kept = self.kept.get((host, port))
        chosen = [each for each in found if each.host == kept] or found
        sock, address = _race(chosen, timeout, source, prepare, self._ready)
        self.kept.setdefault((host, port), address.host)
        return sock


def resolve(host: str, port: int, source: str | None = None) -> list[Address]:
    """Return the addresses of a host, those of two families in turns; only those that `source` can reach."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: defaultdict[int, list[Address]] = defaultdict(list)
    for family, *_, sockaddr in found:
        if source is None or (family == socket.AF_INET6) == (":" in source):
            families[family].append(Address(family, sockaddr))
    turns = itertools.zip_longest(*families.values())
    addresses = [address for turn in turns for address in turn if address is not None]
    if not addresses:
        raise OSError(f"{host} has no address of the family of {source}")
    return list(dict.fromkeys(addresses))


def _race(
    addresses: list[Address],
    timeout: float,
    source: str | None,
    prepare: Callable[[socket.socket], object],
    ready: Ready,
) -> tuple[socket.socket, Address]:
    """Connect to each address in turn without waiting for the last; return the first socket that is connected."""
    deadline, next_try = time.monotonic() + timeout, 0.0
    waiting, errors = list(addresses), dict[Address, OSError]()
    racing: dict[int, tuple[socket.socket, Address]] = {}
    try:
        while waiting or racing:
            now = time.monotonic()
            if waiting and (now >= next_try or not racing):
                address = waiting.pop(0)
                try:
                    sock = _begin(address, source, prepare)
                except OSError as error:
                    errors[address] = error
                    continue
                racing[sock.fileno()] = sock, address
                next_try = now + DELAY
            if now >= deadline:
                break
            until = min(deadline, next_try) if waiting else deadline
            for descriptor in ready(dict.fromkeys(racing, select.POLLOUT), until - now):
                sock, address = racing.pop(descriptor)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    sock.settimeout(timeout)
                    return sock, address
                sock.close()
                errors[address] = OSError(code, os.strerror(code))
    finally:
        for sock, _ in racing.values():
            sock.close()
    raise _failure(addresses, errors)


def _begin(address: Address, source: str | None, prepare: Callable[[socket.socket], object]) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        prepare(sock)
        sock.setblocking(False)
        if source is not None:
            sock.bind((source, 0))
        with suppress(BlockingIOError):
            sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _failure(addresses: list[Address], errors: Mapping[Address, OSError]) -> OSError:
    """Return the error of a host none of whose addresses answered."""
    texts = [f"{each.host}: {errors[each].strerror if each in errors else 'timed out'}" for each in addresses]
    if len(errors) < len(addresses):
        return TimeoutError("; ".join(texts) if len(texts) > 1 else "timed out")
    return OSError("; ".join(texts)) if len(texts) > 1 else errors[addresses[0]]
