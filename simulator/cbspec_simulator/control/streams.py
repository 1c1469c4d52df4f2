"""What is said, as it is said, for whoever listens over HTTP: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from cbspec_simulator.control.controls import Controls
from cbspec_simulator.observe.transcript import TranscriptEntry

BEHIND: Final = 1000
"""How many entries one listener may be late by."""
_QUIET = 10.0  # seconds


class Streams:
    """The streams of one relay's transcript, and their common end."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._queues: set[asyncio.Queue[TranscriptEntry | None]] = set()
        self._ended = False

    async def events(self, since: int | None) -> AsyncIterator[str]:
        """Give each new entry as an event, and a comment now and then so that an end is noticed.

        Before it come those that are remembered behind the so-manieth; without a number there are none.
        """
        queue: asyncio.Queue[TranscriptEntry | None] = asyncio.Queue(BEHIND)

        stop = self._controls.follow(partial(_put, queue))
        remembered = self._controls.transcript(since) if since is not None else []
        self._queues.add(queue)
        try:
            yield ": listening\n\n"
            for entry in remembered:
                yield _event(entry)
            while not self._ended or not queue.empty():
                try:
                    new = await asyncio.wait_for(queue.get(), _QUIET)
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
        """End every stream, now and from now on, so that nobody has to break one off."""
        self._ended = True
        for queue in self._queues:
            _put(queue, None)


def _put(queue: asyncio.Queue[TranscriptEntry | None], entry: TranscriptEntry | None) -> None:
    if queue.full():  # who reads too slowly misses the oldest, and sees it by the numbers
        queue.get_nowait()
    queue.put_nowait(entry)


def _event(entry: dict[str, Any]) -> str:
    return f"id: {entry['number']}\ndata: {json.dumps(entry)}\n\n"
