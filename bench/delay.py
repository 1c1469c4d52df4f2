"""A proxy that makes a relay distant: `python -m bench.delay HOST:PORT --round-trip 0.05` prints its own address.

It needs no privileges and sees only TLS records. At its end it prints what passed through it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_CHUNK = 65_536
_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Path:
    """How bytes travel; times in seconds.

    `round_trip` is that of an undisturbed message, `jitter` is added at random to each way, and answers are `held` for
    this time and written together. Only so many connections are `served` at once (0: any number); others wait.
    """

    round_trip: float = 0.0
    jitter: float = 0.0
    held: float = 0.0
    served: int = 0


@dataclass(slots=True)
class Traffic:
    """What passed through the proxy."""

    connections: int = 0
    open: int = 0
    most_open: int = 0
    flights: int = 0
    most_in_a_second: int = 0
    _times: deque[float] = field(default_factory=deque)

    def opened(self) -> None:
        """Count a connection."""
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def sent(self, now: float) -> None:
        """Count bytes from the client that followed a pause."""
        self.flights += 1
        self._times.append(now)
        while self._times[0] <= now - _SECOND:
            self._times.popleft()
        self.most_in_a_second = max(self.most_in_a_second, len(self._times))

    def __str__(self) -> str:
        return (
            f"{self.connections} connections, at most {self.most_open} at once; {self.flights} flights from the "
            f"client, at most {self.most_in_a_second} in a second"
        )


class DelayingProxy:
    """Passes connections on to a relay. Arguments: the relay's `host` and `port`, and the `path` to it."""

    def __init__(self, host: str, port: int, path: Path) -> None:
        self._host, self._port, self._path = host, port, path
        self.traffic = Traffic()
        self._serving = set[asyncio.Task[None] | None]()  # the loop alone would let the collector take them
        self._turns = asyncio.Semaphore(path.served) if path.served else contextlib.nullcontext()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until both directions have ended."""
        self.traffic.opened()
        self._serving.add(task := asyncio.current_task())
        try:
            await asyncio.sleep(self._delay() + self._delay())  # the round trip of TCP's handshake
            async with self._turns:
                try:
                    onward = await asyncio.open_connection(self._host, self._port)
                except OSError:
                    writer.transport.abort()
                    return
                await asyncio.gather(
                    self._carry(reader, onward[1], from_client=True), self._carry(onward[0], writer, from_client=False)
                )
        except asyncio.CancelledError:  # the proxy ends
            writer.transport.abort()
        finally:
            self.traffic.open -= 1
            self._serving.discard(task)

    def _delay(self) -> float:
        return self._path.round_trip / 2 + random.uniform(0, self._path.jitter)  # noqa: S311 - no secret

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool) -> None:
        queue: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue()
        delivery = asyncio.create_task(self._deliver(queue, writer, from_client=from_client))
        loop, broken = asyncio.get_running_loop(), False
        due = 0.0
        while True:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data, broken = b"", True
            now = loop.time()
            if from_client and data:
                self.traffic.sent(now)
            due = max(due, now + self._delay())  # TCP keeps the order
            queue.put_nowait((due, data or None))
            if not data:
                break
        await delivery
        if broken:
            writer.transport.abort()

    async def _deliver(
        self, queue: asyncio.Queue[tuple[float, bytes | None]], writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        loop, path = asyncio.get_running_loop(), self._path
        with contextlib.suppress(OSError):
            while True:
                due, data = await queue.get()
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                if data is None:
                    break
                ended = False
                if path.held and not from_client:
                    await asyncio.sleep(path.held)
                    while not queue.empty() and not ended:
                        _, more = queue.get_nowait()
                        data, ended = data + (more or b""), more is None
                writer.write(data)
                await writer.drain()
                if ended:
                    break
            if writer.can_write_eof():
                writer.write_eof()


async def _main(host: str, port: int, path: Path) -> None:
    proxy = DelayingProxy(host, port, path)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=1024)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await ended.wait()
    print(proxy.traffic, flush=True)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m bench.delay", description=__doc__)
    parser.add_argument("relay", metavar="HOST:PORT")
    for name in ("round-trip", "jitter", "held"):
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--served", type=int, default=0, metavar="CONNECTIONS", help="at once; others wait")
    args = parser.parse_args(arguments)
    host, _, port = args.relay.rpartition(":")
    asyncio.run(_main(host, int(port), Path(args.round_trip, args.jitter, args.held, args.served)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
