"""A timer of the running loop; starting it again replaces the pending call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")


class Timer:
    """At most one pending call."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, callback: Callable[_P, None], *args: _P.args, **_: _P.kwargs) -> None:
        """Call back after so many seconds."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._fire, callback, args)

    def cancel(self) -> None:
        """Drop the pending call, if any."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    @property
    def running(self) -> bool:
        """Whether a call is pending."""
        return self._handle is not None

    def _fire(self, callback: Callable[..., None], args: tuple[object, ...]) -> None:
        self._handle = None
        callback(*args)
