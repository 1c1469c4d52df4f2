"""The relay's session, transcript and metrics: each request has one valid answer; all resources are released."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from cbspec.profile.target import Rate, Tenant
from cbspec.protocol.messages import Role, Violation, parse
from cbspec.protocol.strictjson import loads
from cbspec.tokens.jws import LONGEST_NAME, CompactJws
from cbspec_schemas import violations
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.observe.metrics import RelayMetrics
from cbspec_simulator.observe.transcript import RelayTranscript, lines
from cbspec_simulator.relay.actions import Action, CloseAction
from cbspec_simulator.relay.events import Answered, Event, MessageReceived
from cbspec_simulator.settings.config import Config, LimitSettings
from tests.fuzz.target import Choices
from tests.support.client import UPGRADE, frame
from tests.support.memory import BEAT, HELLO, KEY, NOW, Body, MemoryClient, MemoryRelay, auth, tunnel

_TENANTS: Final = (
    Tenant("a", tunnel_limit=2),
    Tenant("b", connection_limit=1),
    Tenant("r", rate=Rate(1, 2, "tenant")),
    Tenant("off", active=False),
    Tenant("far", allowed_addresses=("192.0.2.0/24",)),
)
_TEXTS: Final = tuple(
    json.dumps(body).encode()
    for body in (
        HELLO, BEAT, *(auth(tenant.id) for tenant in _TENANTS), auth("nobody"), auth(None), auth(exp=NOW - 1),
        *(tunnel(name, tenant) for name in ("t", "u") for tenant in ("a", "b", "r")), tunnel(remote_port=0),
        {"type": "hello_response"}, [], {"type": 1},
    )
)  # fmt: skip


def _auth(claims: bytes) -> bytes:
    """Return an auth with a valid signature of any claims."""
    return json.dumps({"type": "auth", "token": str(CompactJws.signed({"alg": "HS256"}, claims, KEY.sign))}).encode()


class _FuzzedClient(MemoryClient):
    """Checks that each request has one valid answer, and that nothing follows the close."""

    def __init__(self, memory: MemoryRelay, *, websocket: bool) -> None:
        super().__init__(memory, "127.0.0.1", websocket=websocket)
        self.requested = self.answered = 0
        self._websocket = websocket
        if websocket:
            super().send(UPGRADE + b"\r\n")

    def __call__(self, event: Event) -> None:
        match event:
            case MessageReceived(connection) if connection is self.session.state:
                assert self.requested == self.answered, "the previous request has no answer yet"
                self.requested += 1
            case Answered(connection, body) if connection is self.session.state:
                self.answered += 1
                assert not violations("relay", body), body

    def say(self, text: bytes) -> None:
        self.send(frame(text) if self._websocket else text + b"\n")

    def take(self, actions: Sequence[Action]) -> list[Body]:
        assert not (self.closed and actions), "an action after the close"
        assert not any(isinstance(action, CloseAction) for action in actions[:-1]), "an action after the close"
        answers = super().take(actions)
        if not self._websocket:
            assert not any(isinstance(parse(loads(line), Role.RELAY), Violation) for line in self.raw.splitlines())
        return answers


def session(data: bytes) -> None:
    """Talk to a relay on three connections."""
    choices = Choices(data)
    mode = choices.byte()
    config = Config(limits=LimitSettings(max_message=400, max_depth=8))
    memory = MemoryRelay(*_TENANTS, config=config, buffer_pool=3, connection_limit=2, probe=bool(mode & 2))
    transcript = RelayTranscript(Clock(lambda: 0.0, lambda: float(NOW)))
    metrics = RelayMetrics(memory.relay, lambda: 0.0)
    connections = [_FuzzedClient(memory, websocket=bool(mode & bit)) for bit in (1, 4, 8)]
    for connection in connections:
        memory.relay.tell.add(connection)
    transcript.listen(memory.relay.tell)
    while choices:
        act = choices.byte()
        client = connections[act % 3]
        if act < 128:
            client.say(_TEXTS[act // 3 % len(_TEXTS)])
        elif act < 150:
            client.say(_auth(choices.bytes(choices.byte())))
        elif act < 175:
            client.say(choices.bytes(choices.byte()))
        elif act < 200:
            client.send(choices.bytes(choices.byte()))
        elif act < 220:
            if client.io_requests:
                client.io_requests.pop()
                client.dialled(bool(act & 1))
        elif act < 230:
            text = _TEXTS[choices.below(len(_TEXTS))]
            at = choices.below(len(text))
            client.say(text[:at] + choices.bytes(act % 4) + text[at + 1 :])
        elif act < 245:
            memory.time += act - 230
        else:
            client.session.end(reset=bool(act & 1))
            client.closed = False
    for client in connections:
        client.session.end()
        client.raw = b""
        client.send(_TEXTS[0])
        assert not client.raw
        assert client.requested - client.answered in (0, 1, -1)
    assert not memory.relay.state.usage
    assert not memory.relay.state.connections
    entries = transcript.entries()
    assert all(len(entry.tenant) + len(entry.subject) <= 2 * LONGEST_NAME for entry in entries)
    json.dumps([(entry.tenant, entry.subject, entry.text) for entry in entries], ensure_ascii=False).encode()
    "\n".join(lines(entries)).encode()
    assert all(len(family.samples) < 200 for family in metrics.collect())
