"""What happens to a relay by itself, at times that a scenario names."""

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
    """The acts of a scenario, each done when its time has come by the simulator's clock."""

    def __init__(self, acts: tuple[TimelineEntry, ...], controls: Controls, clock: Clock) -> None:
        self._left = sorted(acts, key=lambda act: act.at)
        self._controls = controls
        self._clock = clock
        self._began = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        if self._left:
            clock.watch(self._look)
            self._look()

    def close(self) -> None:
        """Do nothing more."""
        self._left.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Do what is due, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
        while self._left and self._left[0].at <= self._clock.monotonic() - self._began:
            self._do(self._left.pop(0))
        if self._left:
            left = self._left[0].at - (self._clock.monotonic() - self._began)
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._look)

    def _do(self, act: TimelineEntry) -> None:
        log.info("timeline", extra={"at": act.at, "do": act.do})
        try:
            self._acts()[act.do](act.what)
        except ControlError as error:
            log.error("the timeline's %s at %g: %s", act.do, act.at, error)  # noqa: TRY400 - the text says it all

    def _acts(self) -> Mapping[str, Callable[[Any], object]]:
        controls = self._controls
        return {
            "add": controls.add_fault,
            "remove": controls.remove_fault,
            "release": controls.release,
            "reset": lambda _: controls.reset(),
            "drain": lambda draining: controls.drain(draining=draining),
            "limits": controls.limit,
            "tenant": lambda what: controls.limit_tenant(what["id"], {k: v for k, v in what.items() if k != "id"}),
            "drop": controls.drop_all,
        }
