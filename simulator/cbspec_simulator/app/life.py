"""The life cycle of a relay's process: SIGTERM drains the relay, SIGINT ends it, SIGHUP reloads its files.

A time limit or the end of the parent process ends it, too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from cbspec.descriptors import raise_limit
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.settings.config import Config, ConfigError

log = logging.getLogger("simulator")

_CHUNK: Final = 65_536  # bytes of standard input
_THRESHOLD: Final = 5_000  # objects; Python's default of 700 causes many useless collections a second under load


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a relay's process ends, besides SIGINT.

    `grace` is the time in seconds that open connections have after SIGTERM, and `max_time` the longest life of the
    relay in seconds (None: no limit). With `with_parent`, the end of standard input ends the relay: the parent process
    holds its other end open, and the system closes it if the parent ends in any way.
    """

    grace: float
    max_time: float | None = None
    with_parent: bool = False


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Exclude the objects that exist before the first connection from garbage collection, and collect less often."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def live(
    served: Simulator | Deployment, read: Callable[[], Config], ready: Callable[[], None], lifetime: Lifetime
) -> None:
    """Serve until SIGINT, SIGTERM or the end of `lifetime`; `ready` is called once the relay listens.

    After SIGTERM, new work is refused, and open connections have a time to end; a second SIGTERM or any other reason
    ends them at once. SIGHUP calls `read` and applies the configuration without closing a connection; if it can't be
    used, the old one stays in force. Raises ConfigError if standard input can't show the end of the parent.
    """
    if lifetime.with_parent:
        _check_input()
    loop = asyncio.get_running_loop()
    drain, end = asyncio.Event(), asyncio.Event()

    def terminate() -> None:
        (end if drain.is_set() else drain).set()

    def interrupt() -> None:
        drain.set()
        end.set()

    def reload() -> None:
        try:
            served.reload(read())
        except (ConfigError, OSError) as error:
            for line in str(error).splitlines():
                log.error("the old configuration stays: %s", line)  # noqa: TRY400 - no bug, no traceback
        else:
            log.warning("the configuration was read again")

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(served)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGHUP, reload)
        stack.enter_context(_rare_collections())
        raise_limit()
        stack.enter_context(_ending(lifetime, interrupt))
        ready()
        served.begin()
        await drain.wait()
        if not end.is_set():
            log.info("draining", extra={"grace": lifetime.grace})
            ended = loop.create_task(end.wait())
            drained = loop.create_task(served.drain(lifetime.grace))
            await asyncio.wait((ended, drained), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, drained):
                task.cancel()


def _check_input() -> None:
    """Raise ConfigError unless the process at the other end of standard input can hold it open."""
    try:
        mode = os.fstat(sys.__stdin__.fileno()).st_mode if sys.__stdin__ is not None else 0
    except (OSError, ValueError):
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        raise ConfigError(
            "--exit-with-parent: standard input must be a pipe that the parent process holds open, "
            f"and it is {'a file or device' if mode else 'closed'}"
        )


@contextmanager
def _ending(lifetime: Lifetime, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when the time is over or standard input reaches end of file, if `lifetime` says so."""
    loop = asyncio.get_running_loop()

    def expire() -> None:
        log.warning("the time limit ends the relay (--max-time %g)", lifetime.max_time)
        end()

    def look() -> None:
        # Read only when there is something to read, so that standard input needs no change of its mode.
        try:
            data = os.read(0, _CHUNK)
        except OSError:  # the other end of a socket was reset, or of a terminal closed
            data = b""
        if not data:
            log.info("standard input is at its end")
            loop.remove_reader(0)
            end()

    if lifetime.with_parent:
        loop.add_reader(0, look)
    timer = None if lifetime.max_time is None else loop.call_later(lifetime.max_time, expire)
    try:
        yield
    finally:
        if lifetime.with_parent:
            loop.remove_reader(0)
        if timer is not None:
            timer.cancel()
