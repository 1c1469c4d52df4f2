"""The transcript of a local relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import anyio.to_thread

from cbspec_simulator.observe.transcript import RelayTranscript, TranscriptEntry, lines
from cbspec_simulator.testing.thread import PATIENCE, LoopThread

TIMEOUT: Final = 10.0
"""Default time-out, in seconds, of `wait_for`."""

_SHOWN: Final = 200  # last lines in the string form


class LocalTranscript:
    """The transcript of a local relay, as a sequence of the entries so far.

    An entry's `event` is accepted, secured, not_secured, connected, request, answer, sent, unread, fault, ended or
    control (`TranscriptEntry` describes them). `type` is the message's type, the fault's name, the alert or the kind of
    end; `message` is the JSON object; an end has its cause in `by`. Tokens are redacted.
    """

    def __init__(self, thread: LoopThread, transcript: Callable[[], RelayTranscript]) -> None:
        self._thread = thread
        self._transcript = transcript

    @property
    def entries(self) -> tuple[TranscriptEntry, ...]:
        """The entries so far: at most the last ten thousand."""
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
        """Return the requests of clients: all, or those of one type."""
        return [entry for entry in self.entries if _matches(entry, "request", type)]

    def answers(self, type: str | None = None) -> list[TranscriptEntry]:
        """Return the answers of the relay: all, or those of one type."""
        return [entry for entry in self.entries if _matches(entry, "answer", type)]

    def failed_handshakes(self) -> list[TranscriptEntry]:
        """Return the failed TLS handshakes; `type` is the alert, "plain" or "unfinished", `text` the reason."""
        return [entry for entry in self.entries if entry.event == "not_secured"]

    def clear(self) -> None:
        """Delete all entries; the numbers of later entries continue."""
        self._thread.call(lambda: self._transcript().clear())

    def wait_for(
        self,
        event: str,
        type: str | None = None,
        *,
        where: Callable[[TranscriptEntry], bool] | None = None,
        count: int = 1,
        after: TranscriptEntry | None = None,
        timeout: float = TIMEOUT,
    ) -> TranscriptEntry:
        """Wait for an entry and return it; entries before the call count, too.

        Arguments: `event` and `type` select the entries, `where` is a further condition (called in the relay's thread).
        The entry number `count` of them is returned, counted after the entry `after` or from the beginning. `timeout`
        is in seconds. Raises TimeoutError with the transcript so far.

        This call blocks: in a coroutine, await `async_wait_for` instead, or a client in the same loop can't run.
        """
        wanted = f"{event} {type or ''}".strip()

        def matches(entry: TranscriptEntry) -> bool:
            return _matches(entry, event, type) and (where is None or where(entry))

        since = after.number if after is not None else 0
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
        after: TranscriptEntry | None = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - its error shows the transcript
    ) -> TranscriptEntry:
        """Wait as `wait_for` does, without blocking the event loop (asyncio or trio)."""
        return await anyio.to_thread.run_sync(
            lambda: self.wait_for(event, type, where=where, count=count, after=after, timeout=timeout),
            abandon_on_cancel=True,
        )

    async def _until(
        self, matches: Callable[[TranscriptEntry], bool], count: int, since: int, seconds: float
    ) -> TranscriptEntry:
        """Return the matching entry number `count` after entry `since`; runs in the relay's thread."""
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
