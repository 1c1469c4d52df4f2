"""A client's visit in a soak: a session of random length that ends in a random way, and its outcome."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from random import Random

from cbspec.cli.load_settings import invariants
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client import errors
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation
from cbspec_client.errors import ClientError, refusal
from cbspec_client.session import ClientSession, Transport
from cbspec_conformance.target.connector import context_for
from cbspec_conformance.target.tokens import secrets_of
from tests.endurance.promises import LOST, SERVED, TIMEOUT, UNCONNECTED
from tests.support.relay import reset

_LIMIT = 10.0  # seconds for an expected answer
_SHORT = 0.4  # seconds for an answer that isn't expected


class Place:
    """A running relay, and the visits to it."""

    def __init__(self, profile: Profile) -> None:
        endpoint = profile.target.address
        assert endpoint is not None
        self._address = endpoint.host, endpoint.port
        self._context = context_for(profile.tls)
        self._issuer, self._lock = Issuer(profile.tokens, time.time), threading.Lock()
        self._onlookers = {tenant.id: invariants(secrets_of(profile, tenant.id)) for tenant in profile.tenants}

    def visit(
        self,
        tenant: str,
        subject: str,
        transport: Transport,
        chance: Random,
        *,
        patient: bool = True,
        polite: bool = False,
        more: bool = False,
        drop: Callable[[], None] | None = None,
    ) -> str:
        """Make a visit whose exchanges are checked; return a code, a requirement, or a word of `promises`.

        `patient`: answers are expected. `polite`: the client closes the connection properly. `more`: it reads on after
        the last answer. `drop` is called during the session; it makes the relay end the connection.
        """
        conversation = Conversation(self._onlookers[tenant])
        conversation.tenant = tenant
        session = ClientSession(self._context, self._address[0], transport=transport, exchange=conversation.passed)
        limit, outcome = _LIMIT if patient else _SHORT, SERVED
        try:
            client = BlockingClient.open(session, *self._address, limit=limit)
        except ClientError as error:
            return _named(error)
        try:
            for request in self._requests(tenant, subject, chance):
                _ask(client, request, limit)
            if drop is not None:
                drop()
            if drop is not None or more:
                client.listen(_LIMIT)
        except ClientError as error:
            outcome = _named(error)
        client.follow(_SHORT if isinstance(client.failure, errors.RelayMisbehaved) else 0.0)
        end = "close" if polite or outcome != SERVED else chance.choice(("close", "close", "leave", "reset"))
        client.close() if end == "close" else client.abort(reset=end == "reset")
        if isinstance(client.failure, errors.RelayMisbehaved):
            conversation.blame(client.failure.requirement)
        found = conversation.findings()
        return found[0].requirement if found else outcome

    def _requests(self, tenant: str, subject: str, chance: Random) -> list[Request]:
        with self._lock:
            requests: list[Request] = [Hello(), Auth(self._issuer.valid(tenant, subject))]
        for number in range(chance.randint(1, 4)):
            requests.append(TunnelInfo(f"{subject}-{number}", tenant, 3389, "127.0.0.1", 3389))
            requests += [Heartbeat()] * chance.randint(1, 5)
        return requests

    def intrude(self, chance: Random) -> None:
        """Connect without a handshake, with the beginning of one, or with random bytes, and leave."""
        begun = chance.choice((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n", chance.randbytes(600)))
        with contextlib.suppress(OSError), socket.create_connection(self._address, _LIMIT) as sock:
            sock.sendall(begun)
            if chance.random() < 0.5:
                reset(sock)


def _ask(client: BlockingClient, request: Request, limit: float) -> None:
    answer = client.ask(request, limit)
    if isinstance(answer, Error):
        raise refusal(answer)


def _named(error: ClientError) -> str:
    match error:
        case errors.RelayMisbehaved():
            return error.requirement
        case errors.RelayError():
            return error.code
        case errors.AnswerTimeout():
            return TIMEOUT
        case errors.ConnectionLost():
            return LOST
    return UNCONNECTED if isinstance(error, errors.ConnectFailed) else type(error).__name__
