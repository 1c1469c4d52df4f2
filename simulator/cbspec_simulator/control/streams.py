"""The transcript as server-sent events, for clients that follow it over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from cbspec_simulator.control.controls import Controls
from cbspec_simulator.observe.transcript import TranscriptEntry

BACKLOG: Final = 1000
"""The most entries that wait for a slow client; older ones are dropped, which it sees by the numbers."""
_KEEP_ALIVE: Final = 10.0  # seconds between comments without which a closed connection would not be noticed


class Streams:
    """The streams of one relay's transcript, which end together."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._queues: set[asyncio.Queue[TranscriptEntry | None]] = set()
        self._ended = False

    async def events(self, since: int | None) -> AsyncIterator[str]:
        """Yield each new entry as an event, after those in memory with numbers above `since` (None: no old ones)."""
        queue: asyncio.Queue[TranscriptEntry | None] = asyncio.Queue(BACKLOG)

        stop = self._controls.follow(partial(_put, queue))
        remembered = self._controls.transcript(since) if since is not None else []
        self._queues.add(queue)
        try:
            yield ": listening\n\n"
            for entry in remembered:
                yield _event(entry)
            while not self._ended or not queue.empty():
                try:
                    new = await asyncio.wait_for(queue.get(), _KEEP_ALIVE)
                except TimeoutError:
                    yield ": quiet\n\n"
                    continue
                if new is None:
                    return
                yield _event(new.to_json())
        finally:
            self._queues.discard(queue)
            stop()

    def end(self) -> None:
        """End every stream, and those that are opened later."""
        self._ended = True
        for queue in self._queues:
            _put(queue, None)


def _put(queue: asyncio.Queue[TranscriptEntry | None], entry: TranscriptEntry | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(entry)


def _event(entry: dict[str, Any]) -> str:
    return f"id: {entry['number']}\ndata: {json.dumps(entry)}\n\n"
