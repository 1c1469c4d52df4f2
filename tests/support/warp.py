"""An event loop whose clock stands still, and jumps to the next timer as soon as nothing else is left to do.

Time-outs of minutes cost a millisecond, and no result depends on the machine's speed. Both ends of every connection
must be in this loop: bytes on the loopback interface arrive at once, so nothing is on its way when the clock jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

_ASIDE = 0.001  # seconds for other threads, before each jump


class WarpSelector(selectors.BaseSelector):
    """A selector that doesn't wait for the end of a time-out; `passed` is the sum of the seconds that it left out."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._inner = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the events that there are; if there is none, let the time-out pass at once."""
        if timeout is None or timeout <= 0:
            return self._inner.select(timeout)
        events = self._inner.select(min(timeout, _ASIDE))
        if not events:
            self.passed += timeout
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as the base has it
        """Pass on."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as the base has it
        """Pass on."""
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as the base has it
        """Pass on."""
        return self._inner.modify(fileobj, events, data)

    def close(self) -> None:
        """Pass on."""
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Pass on."""
        return self._inner.get_map()


class WarpLoop(asyncio.SelectorEventLoop):
    """The loop; `asyncio.Runner(loop_factory=WarpLoop)` uses it."""

    def __init__(self) -> None:
        self._warp = WarpSelector()
        super().__init__(self._warp)

    def time(self) -> float:
        """Return the seconds since the beginning."""
        return self._warp.passed

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as asyncio has it
        """Wait for the threads without a time-out, which would pass at once."""
        await super().shutdown_default_executor()
