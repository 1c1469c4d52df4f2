"""A relay in memory, with clients that speak to it in JSON; time stands still until it is moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.target import Tenant
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.relay.session import Action, Close, Send
from cbspec_simulator.relay.steps import Errand, Moment
from cbspec_simulator.settings.config import Config, RelayRules

NOW = 1_800_000_000
KEY = SigningKey.hmac(DEVELOPMENT_SECRET)
HELLO = {"type": "hello", "version": "1.0", "features": ["tls"]}
BEAT = {"type": "heartbeat"}

Body = dict[str, Any]


def token(
    tenant: object = "a", *, key: SigningKey = KEY, headers: Mapping[str, object] | None = None, **claims: object
) -> str:
    """Mint a token that is good for a minute; a claim given as None is left out."""
    said = {"sub": "user123", "tenant_id": tenant, "exp": NOW + 60, **claims}
    return mint(key, {name: value for name, value in said.items() if value is not None}, headers)


def auth(tenant: object = "a", **claims: object) -> Body:
    """Return an auth with a good token."""
    return {"type": "auth", "token": token(tenant, **claims)}  # type: ignore[arg-type]


def tunnel(name: str = "t", tenant: str = "a", **members: object) -> Body:
    """Return a tunnel_info; a member given as `...` is left out."""
    body = {
        "type": "tunnel_info",
        "tunnel_id": name,
        "tenant_id": tenant,
        "local_port": 3389,
        "remote_host": "192.168.1.100",
        "remote_port": 3389,
        **members,
    }
    return {key: value for key, value in body.items() if value is not ...}


class MemoryRelay:
    """A relay with the tenants that a test names, without limits unless it says so."""

    def __init__(
        self,
        *tenants: Tenant,
        change: Callable[[Behaviour], Behaviour] = lambda behaviour: behaviour,
        config: Config | None = None,
        **rules: Any,  # noqa: ANN401 - checked by the names of RelayRules
    ) -> None:
        base = config or Config()
        known = tenants or (Tenant("a"), Tenant("b"))
        self.relay = Relay(replace(base, tenants=known, relay=replace(RelayRules(), **rules)), change(Behaviour()))
        self.time = 0.0

    def client(self, address: str = "127.0.0.1", *, websocket: bool = False) -> MemoryClient:
        """Connect."""
        return MemoryClient(self, address, websocket=websocket)

    def greeted(self) -> MemoryClient:
        """Connect and say hello."""
        client = self.client()
        assert client.type(HELLO) == "hello_response"
        return client

    def authenticated(self, tenant: str = "a") -> MemoryClient:
        """Connect, say hello and authenticate."""
        client = self.greeted()
        assert client.type(auth(tenant)) == "auth_response"
        return client


class MemoryClient:
    """One connection to a relay in memory."""

    def __init__(self, memory: MemoryRelay, address: str, *, websocket: bool = False) -> None:
        self._memory = memory
        self.session = memory.relay.connect(address, websocket=websocket)
        self.closed = False
        self.errands: list[Errand] = []
        self.raw = b""

    def send(self, data: bytes | Body) -> list[Body]:
        """Send bytes, or an object and a line feed; return every answer."""
        text = data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n"
        return self.take(self.session.receive_data(text, self._now))

    def dialled(self, reached: bool) -> list[Body]:
        """Say how the dial that is wanted went; return every answer."""
        return self.take(self.session.dialled(reached, self._now))

    def refreshed(self) -> list[Body]:
        """Say that the refresh that is wanted is over; return every answer."""
        return self.take(self.session.refreshed(self._now))

    def take(self, actions: list[Action]) -> list[Body]:
        """Do what the session wants done, until nothing is behind; return what it sent."""
        while self.session.behind:
            actions += self.session.receive_data(b"", self._now)
        sent = b""
        for action in actions:
            if isinstance(action, Send):
                sent += action.data
            elif isinstance(action, Errand):
                self.errands.append(action)
            elif isinstance(action, Close):
                self.closed = True
        self.raw = sent
        try:
            return [json.loads(line) for line in sent.splitlines()]
        except ValueError:
            return []

    def ask(self, data: bytes | Body) -> Body:
        """Send, and return the one answer."""
        (answer,) = self.send(data)
        return answer

    def type(self, data: bytes | Body) -> str:
        """Send, and return the one answer's type, or an error's code."""
        answer = self.ask(data)
        return str(answer["code"] if answer["type"] == "error" else answer["type"])

    def end(self) -> None:
        """Break the connection."""
        self.session.end()

    @property
    def _now(self) -> Moment:
        return Moment(self._memory.time, NOW + self._memory.time)
