"""A relay that dies of one message: run as a process of its own.

    python -m tests.conformance.mortal PORT WORD [SECONDS]

It conforms, but a message that holds WORD ends the process at once. With SECONDS, a supervisor starts it again after so
long. It prints a line when it listens for the first time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from cbspec.protocol.framing import RawMessage
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, Listen


async def serve(port: int, word: bytes) -> None:
    """Serve until the word is said."""
    behaviour = Behaviour()

    def decode(frame: RawMessage, max_depth: int) -> object:
        if word in frame.text:
            os._exit(1)
        return behaviour.decode(frame, max_depth)

    config = Config(listen=Listen(port=port))
    async with Simulator(config, behaviour=replace(behaviour, decode=decode)) as simulator:
        print(simulator.endpoint, flush=True)
        await asyncio.Event().wait()


def supervise(arguments: list[str], seconds: float) -> None:
    """Start it again and again."""
    while True:
        with subprocess.Popen([sys.executable, "-m", "tests.conformance.mortal", *arguments]) as process:
            try:
                process.wait()
            finally:
                process.kill()
        time.sleep(seconds)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())  # the one that it supervises ends with it
    if len(sys.argv) > 3:
        supervise(sys.argv[1:3], float(sys.argv[3]))
    else:
        asyncio.run(serve(int(sys.argv[1]), sys.argv[2].encode()))
