"""A relay's life in a process: it serves until a signal ends it, drains at SIGTERM, and reads its files at SIGHUP."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from cbspec.descriptors import take_all
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.settings.config import Config, ConfigError

log = logging.getLogger("simulator")

_CALM: Final = 5_000


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Have the garbage collector leave alone what was there before the first connection, and look less often.

    It looks at what is new whenever 700 objects more were made than freed: under load many times a second, in vain.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_CALM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def live(
    served: Simulator | Deployment, read: Callable[[], Config], ready: Callable[[], None], grace: float
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once the relay listens.

    SIGTERM has new work refused and waits for what is open, at most `grace` seconds; a second one, or SIGINT, doesn't.
    SIGHUP reads the configuration again: no connection is dropped, and one that can't be used leaves the old one.
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
                log.error("the old configuration stays: %s", line)  # noqa: TRY400 - the text says it all
        else:
            log.warning("the configuration was read again")

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(served)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGHUP, reload)
        stack.enter_context(_calm_collector())
        take_all()
        ready()
        await drain.wait()
        if not end.is_set():
            log.info("draining", extra={"grace": grace})
            ended = loop.create_task(end.wait())
            drained = loop.create_task(served.drain(grace))
            await asyncio.wait((ended, drained), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, drained):
                task.cancel()
