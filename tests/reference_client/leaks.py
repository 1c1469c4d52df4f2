"""What a client may have left behind: tasks, sockets and threads."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

from tests.support.client import until

Sockets = frozenset[tuple[int, str]]


def sockets() -> Sockets:
    """Return the sockets of this process, each with its descriptor."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:"):
                found.add((int(link.name), target))
    return frozenset(found)


class Inventory:
    """The tasks, sockets and threads before a client began."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._sockets = sockets()
        self._threads = set(threading.enumerate())

    def left(self) -> list[str]:
        """Return descriptions of the tasks, sockets and threads since then."""
        tasks = [f"task {task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks() - self._tasks]
        threads = [f"thread {thread.name}" for thread in set(threading.enumerate()) - self._threads]
        return [*tasks, *threads, *(f"{target} ({number})" for number, target in sockets() - self._sockets)]

    async def check(self) -> None:
        """Wait until nothing is left: the relay, too, closes its end of a connection; fail if something stays."""
        try:
            await until(lambda: not self.left())
        except TimeoutError:
            raise AssertionError(f"left behind: {', '.join(self.left())}") from None
