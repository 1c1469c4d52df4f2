"""A conforming relay that exits on a message with some word: `python -m tests.conformance.mortal WORD`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from cbspec.protocol.framing import RawMessage
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, Listen


async def serve(word: bytes) -> None:
    """Print the address and serve until `word` is received."""
    behaviour = Behaviour()

    def decode(frame: RawMessage, max_depth: int) -> object:
        if word in frame.text:
            os._exit(1)
        return behaviour.decode(frame, max_depth)

    async with Simulator(Config(listen=Listen(port=0)), behaviour=replace(behaviour, decode=decode)) as simulator:
        print(simulator.endpoint, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1].encode()))
