"""Some of a crowd, in a process of their own: they come, keep their sessions alive, and go when they are told to.

`python -m tests.endurance.guests PROFILE COUNT FIRST TENANT` says "here" when all have a tunnel, and at the end, when
its standard input is closed, one line of JSON: how many were still served, and what broke the protocol.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections import deque
from pathlib import Path

from cbspec.cli.load_settings import invariants
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile, load
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, TunnelInfo
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation
from cbspec_client.errors import ClientError, refusal
from cbspec_client.session import ClientSession
from cbspec_conformance.target.contexts import context_for
from cbspec_conformance.target.tokens import secrets_of

PAUSE = 30.0
"""Seconds between two heartbeats of a guest."""
_LIMIT = 60.0  # seconds for an answer: while thousands come, each waits for its turn
_MANY = 2000  # connections from one source address, far below what its ports allow


class Guest:
    """One connection with a tunnel."""

    def __init__(self, profile: Profile, issuer: Issuer, number: int, tenant: str) -> None:
        self.conversation = Conversation(invariants(secrets_of(profile, tenant)))
        self.conversation.tenant = tenant
        address = profile.target.address
        assert address is not None
        session = ClientSession(context_for(profile.tls), address.host, exchange=self.conversation.passed)
        source = f"127.0.0.{2 + number // _MANY}"
        self._client = BlockingClient.open(session, address.host, address.port, limit=_LIMIT, source=source)
        for request in (Hello(), Auth(issuer.valid(tenant)), _tunnel(number, tenant)):
            self._ask(request)

    def heartbeat(self) -> None:
        """See that the relay is there."""
        self._ask(Heartbeat())

    def close(self) -> None:
        """Go."""
        self._client.close()

    def _ask(self, request: Hello | Auth | TunnelInfo | Heartbeat) -> None:
        answer = self._client.ask(request, _LIMIT)
        if isinstance(answer, Error):
            raise refusal(answer)


def _tunnel(number: int, tenant: str) -> TunnelInfo:
    return TunnelInfo(f"crowd-{number}", tenant, 3389, "127.0.0.1", 3389)


def stay(guests: list[Guest]) -> None:
    """Keep all sessions alive until standard input is closed."""
    turns = deque(guests)
    due = time.monotonic()
    while True:
        due += PAUSE / max(1, len(turns))
        if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            return
        turns[0].heartbeat()
        turns.rotate(-1)


def main() -> int:
    """Come, stay, and say what it was like."""
    file, count, first, tenant = sys.argv[1:]
    profile = load(Path(file))
    issuer = Issuer(profile.tokens, time.time)
    try:
        guests = [Guest(profile, issuer, int(first) + place, tenant) for place in range(int(count))]
        print("here", flush=True)
        stay(guests)
        for guest in guests:
            guest.heartbeat()
    except ClientError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    broken = [blame.requirement for guest in guests for blame in guest.conversation.findings()]
    print(json.dumps({"served": len(guests), "broken": broken}), flush=True)
    for guest in guests:
        guest.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
