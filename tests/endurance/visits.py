"""A client's visit in a soak: it comes, does some of what clients do, goes in one of many ways, and is judged."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation, Onlooker
from cbspec_client.errors import (
    AnswerTimeout,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    RelayError,
    RelayMisbehaved,
    refusal,
)
from cbspec_client.session import ClientSession, Transport
from tests.endurance.promises import LOST, SERVED, TIMEOUT

UNCONNECTED = "no connection"
LIMIT = 10.0
"""Seconds for an answer that is promised."""
_SHORT = 0.4  # seconds for one that is promised not to come
_LINGER = 2.0
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Where:
    """The relay, as visitors need it: address, whom to trust, a valid token of a tenant, who looks on."""

    address: tuple[str, int]
    context: ssl.SSLContext
    token: Callable[[str, str], str]
    onlooker: Callable[[str], Onlooker]


@dataclass(slots=True)
class Visit:
    """One client's visit.

    `patient` is False where an answer isn't expected, `polite` True where it closes in good order, `more` where it
    waits for what is to come behind the last answer; `slowest` is the longest wait for an answer.
    """

    where: Where
    tenant: str
    subject: str
    transport: Transport
    patient: bool = True
    polite: bool = False
    more: bool = False
    slowest: float = 0.0

    def outcome(self, chance: Random, dropped: Callable[[str], None] | None = None) -> str:
        """Make the visit and return how it came out: a code, a requirement, or a word.

        `dropped` is called with the subject in the middle of it: it has the relay end the connection.
        """
        conversation = Conversation(self.where.onlooker(self.tenant))
        conversation.tenant = self.tenant
        session = ClientSession(
            self.where.context, self.where.address[0], transport=self.transport, exchange=conversation.passed
        )
        try:
            limit = LIMIT if self.patient else _SHORT
            client = BlockingClient.open(session, *self.where.address, limit=limit, linger=_LINGER)
        except ConnectFailed:
            return UNCONNECTED
        except ClientError as error:
            return _named(error)
        said = SERVED
        try:
            self._talk(client, chance, dropped)
        except ClientError as error:
            said = _named(error)
        client.follow(_SHORT if isinstance(client.failure, RelayMisbehaved) else 0.0)
        self._go(client, chance, polite=self.polite or said != SERVED)
        if isinstance(client.failure, RelayMisbehaved):
            conversation.blame(client.failure.requirement)
        found = conversation.findings()
        return found[0].requirement if found else said

    def _talk(self, client: BlockingClient, chance: Random, dropped: Callable[[str], None] | None) -> None:
        self._ask(client, Hello())
        self._ask(client, Auth(self.where.token(self.tenant, self.subject)))
        for number in range(chance.randint(1, 4)):
            self._ask(client, TunnelInfo(f"{self.subject}-{number}", self.tenant, 3389, "127.0.0.1", 3389))
            for _ in range(chance.randint(1, 5)):
                self._ask(client, Heartbeat())
        if dropped is not None:
            dropped(self.subject)
        if dropped is not None or self.more:
            client.listen(LIMIT)

    def _ask(self, client: BlockingClient, request: Request) -> None:
        began = time.monotonic()
        answer = client.ask(request, LIMIT if self.patient else _SHORT)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if isinstance(answer, Error):
            raise refusal(answer)

    @staticmethod
    def _go(client: BlockingClient, chance: Random, *, polite: bool) -> None:
        """Close in good order, or also without a word or by a reset."""
        way = "close" if polite else chance.choice(("close", "close", "leave", "reset"))
        if way == "close":
            client.close()
        else:
            client.abort(reset=way == "reset")


def _named(error: ClientError) -> str:
    match error:
        case RelayError():
            return error.code
        case RelayMisbehaved():
            return error.requirement
        case AnswerTimeout():
            return TIMEOUT
        case ConnectionLost():
            return LOST
    return type(error).__name__


def intrude(where: Where, chance: Random) -> None:
    """Come without a handshake, with half of one, or with noise, and go without a word."""
    with contextlib.suppress(OSError), socket.create_connection(where.address, LIMIT) as sock:
        way = chance.randrange(4)
        if way == 1:
            sock.sendall(chance.randbytes(chance.randint(1, 600)))
        elif way == 2:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            layer = where.context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            with contextlib.suppress(ssl.SSLWantReadError):
                layer.do_handshake()
            hello = outgoing.read()
            sock.sendall(hello[: chance.randint(1, len(hello))])
        elif way == 3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
