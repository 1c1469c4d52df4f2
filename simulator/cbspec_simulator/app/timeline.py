"""The timeline: actions on a relay at the times that a scenario names, counted from an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.relay.events import Accepted, MessageReceived, Subscribers
from cbspec_simulator.settings.config import TimelineEntry

log = logging.getLogger("simulator")


class Timeline:
    """Performs each action when it is due by the simulator's clock; `tell` has the events of the relay."""

    def __init__(self, entries: tuple[TimelineEntry, ...], controls: Controls, clock: Clock, tell: Subscribers) -> None:
        self._left = sorted(entries, key=lambda entry: entry.at)
        self._controls = controls
        self._clock = clock
        self._began: dict[str | None, float] = {}
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        if self._left:
            clock.watch(self._run)
        if any(entry.after for entry in self._left):
            tell.add(lambda _: self._happened("first connection"), Accepted)
            tell.add(lambda event: self._happened(event.type), MessageReceived)
        self.begin()

    def begin(self) -> None:
        """Count from now on: the relay is ready."""
        self._began[None] = self._clock.monotonic()
        self._run()

    @property
    def left(self) -> tuple[TimelineEntry, ...]:
        """The entries whose actions weren't performed yet."""
        return tuple(self._left)

    def close(self) -> None:
        """Cancel the remaining actions."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _happened(self, event: str) -> None:
        """Count the times after an event from now on, if it is the first of its kind."""
        if event not in self._began and any(entry.after == event for entry in self._left):
            self._began[event] = self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._run)  # after the answer to a request

    def _run(self) -> None:
        """Perform the actions that are due, and set a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closed:
            return
        while (entry := min(filter(self._counts, self._left), key=self._due, default=None)) is not None:
            wait = self._due(entry) - self._clock.monotonic()
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self._run)
                return
            self._left.remove(entry)
            self._perform(entry)

    def _counts(self, entry: TimelineEntry) -> bool:
        return entry.after in self._began

    def _due(self, entry: TimelineEntry) -> float:
        return self._began[entry.after] + entry.at

    def _perform(self, entry: TimelineEntry) -> None:
        name, argument = entry.action
        log.info("timeline", extra={"at": entry.at, "do": name})
        controls = self._controls
        actions: Mapping[str, Callable[[Any], object]] = {
            "add": controls.add_fault,
            "remove": controls.remove_fault,
            "release": controls.release,
            "reset": lambda _: controls.reset(),
            "drain": lambda draining: controls.drain(draining=draining),
            "limits": controls.limit,
            "tenant": lambda changes: controls.limit_tenant(
                changes["id"], {key: value for key, value in changes.items() if key != "id"}
            ),
            "drop": controls.drop_all,
        }
        try:
            actions[name](argument)
        except ControlError as error:
            log.error("timeline: %s at %g failed: %s", name, entry.at, error)  # noqa: TRY400 - no bug, no traceback
