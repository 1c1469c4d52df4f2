"""A crowd: `python -m tests.endurance.guests PROFILE COUNT`.

It prints "here" when all connections have a tunnel, and sends heartbeats until standard input is closed. Then it prints
the number of connections that were served, and the requirements that the relay broke.
"""

from __future__ import annotations

import select
import sys
import time
from itertools import cycle
from pathlib import Path

from cbspec.profile.profile import load
from cbspec.protocol.messages import Auth, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client.errors import ClientError
from cbspec_client.session import Transport
from tests.endurance.visits import Place, ask

TENANTS = [f"crowd-{number}" for number in range(10)]
_PAUSE = 30.0  # seconds between two heartbeats of a connection
_LIMIT = 60.0  # seconds for an answer: the machine is busy
_PER_ADDRESS = 2000  # connections from one source address


class Guest:
    """One connection with a tunnel."""

    def __init__(self, place: Place, number: int) -> None:
        tenant = TENANTS[number % len(TENANTS)]
        source = f"127.0.0.{2 + number // _PER_ADDRESS}"
        self._client, self.conversation = place.connect(tenant, Transport.TCP, _LIMIT, source)
        tunnel = TunnelInfo(f"crowd-{number}", tenant, 3389, "127.0.0.1", 3389)
        for request in (Hello(), Auth(place.token(tenant)), tunnel):
            self.ask(request)

    def ask(self, request: Request) -> None:
        """Send a request, which must not be refused."""
        ask(self._client, request, _LIMIT)


def main() -> int:
    """Connect, stay, and report."""
    place, count = Place(load(Path(sys.argv[1]))), int(sys.argv[2])
    try:
        guests = [Guest(place, number) for number in range(count)]
        print("here", flush=True)
        turns, due = cycle(guests), time.monotonic()
        while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            due += _PAUSE / len(guests)
            next(turns).ask(Heartbeat())
        for guest in guests:
            guest.ask(Heartbeat())
    except ClientError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    broken = {blame.requirement for guest in guests for blame in guest.conversation.findings()}
    print("served", count, *sorted(broken), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
