"""What was said on a local relay, to be read and to be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import anyio.to_thread

from cbspec_simulator.observe.transcript import RelayTranscript, TranscriptEntry, lines
from cbspec_simulator.testing.thread import PATIENCE, LoopThread

TIMEOUT: Final = 10.0
"""Seconds for which an entry is waited for unless another time is named."""

_SHOWN: Final = 200  # lines, of a transcript that is shown


class LocalTranscript:
    """The transcript of a local relay: a sequence of entries, as it is when it is asked for.

    An entry's `event` is connected, request, answer, fault or ended; its `type` the message's type, the fault's name or
    how the connection ended; `message` is what was said, as an object. Tokens are left out.
    """

    def __init__(self, thread: LoopThread, transcript: Callable[[], RelayTranscript]) -> None:
        self._thread = thread
        self._transcript = transcript

    @property
    def entries(self) -> tuple[TranscriptEntry, ...]:
        """Everything that happened so far, the last ten thousand entries at most."""
        return self._thread.call(lambda: self._transcript().entries())

    def __iter__(self) -> Iterator[TranscriptEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        entries = self.entries
        left_out = [f"... {len(entries) - _SHOWN} entries before"] if len(entries) > _SHOWN else []
        return "\n".join([*left_out, *lines(entries[-_SHOWN:])])

    def requests(self, type: str | None = None) -> list[TranscriptEntry]:
        """Return what clients asked: everything, or the messages of one type."""
        return [entry for entry in self.entries if _matches(entry, "request", type)]

    def answers(self, type: str | None = None) -> list[TranscriptEntry]:
        """Return what the relay said: everything, or the messages of one type."""
        return [entry for entry in self.entries if _matches(entry, "answer", type)]

    def clear(self) -> None:
        """Forget everything so far; numbers go on."""
        self._thread.call(lambda: self._transcript().clear())

    def wait_for(
        self,
        event: str,
        type: str | None = None,
        *,
        where: Callable[[TranscriptEntry], bool] | None = None,
        count: int = 1,
        behind: TranscriptEntry | None = None,
        timeout: float = TIMEOUT,
    ) -> TranscriptEntry:
        """Wait until something has happened, and return it; what happened before the call counts as well.

        Arguments: `event` and `type` say what, `where` what else must hold of the entry (it is called in the relay's
        thread); the `count`-th such entry is waited for, counted behind the entry `behind` or else from the beginning;
        `timeout` is in seconds. Raises TimeoutError with the transcript so far.

        It blocks: in a coroutine, where the client under test runs in the same loop, await `async_wait_for` instead.
        """
        wanted = f"{event} {type or ''}".strip()

        def matches(entry: TranscriptEntry) -> bool:
            return _matches(entry, event, type) and (where is None or where(entry))

        since = behind.number if behind is not None else 0
        try:
            return self._thread.run(self._until(matches, count, since, timeout), timeout + PATIENCE)
        except TimeoutError:
            times = f"{count} times " if count > 1 else ""
            raise TimeoutError(f"no {wanted} {times}within {timeout:g} s; the transcript:\n{self}") from None

    async def async_wait_for(
        self,
        event: str,
        type: str | None = None,
        *,
        where: Callable[[TranscriptEntry], bool] | None = None,
        count: int = 1,
        behind: TranscriptEntry | None = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - it says what the error says
    ) -> TranscriptEntry:
        """Wait as `wait_for` does without blocking the loop, asyncio's or trio's."""
        return await anyio.to_thread.run_sync(
            lambda: self.wait_for(event, type, where=where, count=count, behind=behind, timeout=timeout),
            abandon_on_cancel=True,
        )

    async def _until(
        self, matches: Callable[[TranscriptEntry], bool], count: int, since: int, seconds: float
    ) -> TranscriptEntry:
        """Return the so-manieth entry that matches, once it is there; runs in the relay's thread."""
        transcript = self._transcript()
        found = [entry for entry in transcript.entries(since) if matches(entry)]
        if len(found) >= count:
            return found[count - 1]
        queue: asyncio.Queue[TranscriptEntry] = asyncio.Queue()
        stop = transcript.follow(queue.put_nowait)
        left = count - len(found)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    entry = await queue.get()
                    left -= matches(entry)
                    if not left:
                        return entry
        finally:
            stop()


def _matches(entry: TranscriptEntry, event: str, type_: str | None) -> bool:
    return entry.event == event and (type_ is None or entry.type == type_)
