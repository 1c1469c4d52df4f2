"""A relay in memory with JSON clients; its clock changes only when a test sets it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cbspec.profile.target import Tenant
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.steps import IoRequest
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.relay.session import connect
from cbspec_simulator.settings.config import Config, RelaySettings
from tests.support import messages
from tests.support.messages import BEAT, HELLO, KEY, Body

__all__ = ["BEAT", "HELLO", "KEY", "NOW", "Body", "MemoryClient", "MemoryRelay", "auth", "token", "tunnel"]

NOW = 1_800_000_000


def token(tenant: object = "a", **options: Any) -> str:  # noqa: ANN401 - those of `messages.token`
    """Mint a token that is valid for a minute of the relay's time."""
    return messages.token(tenant, **{"exp": NOW + 60, **options})


def auth(tenant: object = "a", **claims: object) -> Body:
    """Return an auth with a valid token."""
    return {"type": "auth", "token": token(tenant, **claims)}


def tunnel(name: str = "t", tenant: str = "a", **members: object) -> Body:
    """Return a tunnel_info; a member of `...` is left out."""
    return messages.tunnel(name, tenant, **{"remote_host": "192.168.1.100", **members})


class MemoryRelay:
    """A relay with the given tenants (default: a and b), by default without limits."""

    def __init__(
        self,
        *tenants: Tenant,
        change: Callable[[Behaviour], Behaviour] = lambda behaviour: behaviour,
        config: Config | None = None,
        **rules: Any,  # noqa: ANN401 - checked by the names of RelaySettings
    ) -> None:
        base = config or Config()
        known = tenants or (Tenant("a"), Tenant("b"))
        self.relay = Relay(replace(base, tenants=known, relay=replace(RelaySettings(), **rules)), change(Behaviour()))
        self.time = 0.0

    def client(self, address: str = "127.0.0.1", *, websocket: bool = False) -> MemoryClient:
        """Connect."""
        return MemoryClient(self, address, websocket=websocket)

    def greeted(self) -> MemoryClient:
        """Connect and send hello."""
        client = self.client()
        assert client.type(HELLO) == "hello_response"
        return client

    def authenticated(self, tenant: str = "a") -> MemoryClient:
        """Connect, and send hello and auth."""
        client = self.greeted()
        assert client.type(auth(tenant)) == "auth_response"
        return client


class MemoryClient:
    """One connection to a relay in memory."""

    def __init__(self, memory: MemoryRelay, address: str, *, websocket: bool = False) -> None:
        self._memory = memory
        self.session = connect(memory.relay, address, websocket=websocket)
        self.closed = False
        self.io_requests: list[IoRequest] = []
        self.raw = b""

    def send(self, data: bytes | Body) -> list[Body]:
        """Send bytes, or an object as a line; return the answers."""
        text = data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n"
        return self.take(self.session.receive_data(text, self._now))

    def dialled(self, reached: bool) -> list[Body]:
        """Report the result of the dial that the session asked for; return the answers."""
        return self.take(self.session.io_done(reached, self._now))

    def take(self, actions: Sequence[Action]) -> list[Body]:
        """Apply the session's actions until it has read all input; return the answers."""
        actions = [*actions]
        while self.session.backlog:
            actions += self.session.receive_data(b"", self._now)
        sent = b""
        for action in actions:
            if isinstance(action, SendAction):
                sent += action.data
            elif isinstance(action, IoRequest):
                self.io_requests.append(action)
            elif isinstance(action, CloseAction):
                self.closed = True
        self.raw = sent
        try:
            return [json.loads(line) for line in sent.splitlines()]
        except ValueError:
            return []

    def ask(self, data: bytes | Body) -> Body:
        """Send, and return the only answer."""
        (answer,) = self.send(data)
        return answer

    def type(self, data: bytes | Body) -> str:
        """Send, and return the type of the only answer, or its error code."""
        answer = self.ask(data)
        return str(answer["code"] if answer["type"] == "error" else answer["type"])

    def end(self) -> None:
        """End the connection."""
        self.session.end()

    @property
    def _now(self) -> Moment:
        return Moment(self._memory.time, NOW + self._memory.time)
