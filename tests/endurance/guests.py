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

from cbspec.cli.load_settings import invariants
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile, load
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation
from cbspec_client.errors import ClientError, refusal
from cbspec_client.session import ClientSession
from cbspec_conformance.target.contexts import context_for
from cbspec_conformance.target.tokens import secrets_of

TENANTS = [f"crowd-{number}" for number in range(10)]
_PAUSE = 30.0  # seconds between two heartbeats of a connection
_LIMIT = 60.0  # seconds for an answer: the machine is busy
_PER_ADDRESS = 2000  # connections from one source address


class Guest:
    """One connection with a tunnel."""

    def __init__(self, profile: Profile, issuer: Issuer, number: int) -> None:
        tenant = TENANTS[number % len(TENANTS)]
        self.conversation = Conversation(invariants(secrets_of(profile, tenant)))
        self.conversation.tenant = tenant
        address = profile.target.address
        assert address is not None
        session = ClientSession(context_for(profile.tls), address.host, exchange=self.conversation.passed)
        source = f"127.0.0.{2 + number // _PER_ADDRESS}"
        self._client = BlockingClient.open(session, address.host, address.port, limit=_LIMIT, source=source)
        tunnel = TunnelInfo(f"crowd-{number}", tenant, 3389, "127.0.0.1", 3389)
        for request in (Hello(), Auth(issuer.valid(tenant)), tunnel):
            self.ask(request)

    def ask(self, request: Request) -> None:
        """Send a request, which must not be refused."""
        answer = self._client.ask(request, _LIMIT)
        if isinstance(answer, Error):
            raise refusal(answer)


def main() -> int:
    """Connect, stay, and report."""
    profile, count = load(Path(sys.argv[1])), int(sys.argv[2])
    issuer = Issuer(profile.tokens, time.time)
    try:
        guests = [Guest(profile, issuer, number) for number in range(count)]
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
