"""The timeline: actions on a relay at the times that a scenario names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.settings.config import TimelineEntry

log = logging.getLogger("simulator")


class Timeline:
    """Performs each action when it is due by the simulator's clock."""

    def __init__(self, entries: tuple[TimelineEntry, ...], controls: Controls, clock: Clock) -> None:
        self._left = sorted(entries, key=lambda entry: entry.at)
        self._controls = controls
        self._clock = clock
        self._began = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        if self._left:
            clock.watch(self._run)
            self._run()

    def close(self) -> None:
        """Cancel the remaining actions."""
        self._left.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        """Perform the actions that are due, and set a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
        while self._left and self._left[0].at <= self._clock.monotonic() - self._began:
            self._perform(self._left.pop(0))
        if self._left:
            left = self._left[0].at - (self._clock.monotonic() - self._began)
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._run)

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
