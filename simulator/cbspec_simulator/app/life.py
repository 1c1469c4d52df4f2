"""The life cycle of a relay's process: SIGTERM drains the relay, SIGINT ends it, SIGHUP reloads its files."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from cbspec.descriptors import raise_limit
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.settings.config import Config, ConfigError

log = logging.getLogger("simulator")

_THRESHOLD: Final = 5_000  # objects; Python's default of 700 causes many useless collections a second under load


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
    served: Simulator | Deployment, read: Callable[[], Config], ready: Callable[[], None], grace: float
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once the relay listens.

    After SIGTERM, new work is refused, and open connections have `grace` seconds to end; a second SIGTERM or a SIGINT
    ends them at once. SIGHUP calls `read` and applies the configuration without closing a connection; if it can't be
    used, the old one stays in force.
    """
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
        ready()
        await drain.wait()
        if not end.is_set():
            log.info("draining", extra={"grace": grace})
            ended = loop.create_task(end.wait())
            drained = loop.create_task(served.drain(grace))
            await asyncio.wait((ended, drained), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, drained):
                task.cancel()
