"""The relay's session with all that listens to it: every request one answer, every answer valid, all given back."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from typing import Final

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.target import Rate, Tenant
from cbspec.protocol.messages import Role, Violation, parse
from cbspec.protocol.strictjson import loads
from cbspec.tokens.jws import LONGEST_NAME
from cbspec_schemas import violations
from cbspec_simulator.base.clock import Clock, Moment
from cbspec_simulator.base.steps import Dial, Errand
from cbspec_simulator.observe.log import tell
from cbspec_simulator.observe.metrics import RelayMetrics
from cbspec_simulator.observe.transcript import RelayTranscript, lines
from cbspec_simulator.relay.events import Answered, Event, MessageReceived
from cbspec_simulator.relay.session import Action, CloseAction, RelaySession, SendAction, connect
from cbspec_simulator.settings.config import Config, LimitSettings
from tests.fuzz.target import Choices, Target
from tests.support.memory import BEAT, HELLO, NOW, MemoryRelay, auth, tunnel

_LARGEST: Final = 400
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
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
_SIGNED: Final = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class _Listener(logging.Handler):
    """Writes every line of the log as a program would read it."""

    def emit(self, record: logging.LogRecord) -> None:
        json.dumps({name: str(value) for name, value in vars(record).items()}).encode()


_LOG: Final = logging.getLogger("simulator")
_LISTENER: Final = _Listener()


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Have all of the log written, to nobody else, for a while."""
    before = _LOG.handlers, _LOG.propagate, _LOG.level
    _LOG.handlers, _LOG.propagate = [_LISTENER], False
    _LOG.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _LOG.handlers, _LOG.propagate = before[:2]
        _LOG.setLevel(before[2])


def _auth(claims: bytes) -> bytes:
    """Return an auth with a good signature over whatever claims."""
    signed = _SIGNED + b"." + base64.urlsafe_b64encode(claims).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(DEVELOPMENT_SECRET.encode(), signed, hashlib.sha256)).rstrip(b"=")
    return b'{"type":"auth","token":"' + signed + b"." + signature + b'"}'


def _frame(text: bytes, opcode: int = 0x81) -> bytes:
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return bytes([opcode]) + size + bytes(4) + text


class _Wire:
    """One client's connection, and all that was said on it."""

    def __init__(self, memory: MemoryRelay, *, websocket: bool, probed: bool) -> None:
        self.memory = memory
        self.time = 0.0
        self.closed = False
        self.asked = self.answered = 0
        self.errands: list[Errand] = []
        self.session: RelaySession = connect(memory.relay, "127.0.0.1", websocket=websocket)
        self.websocket = websocket
        self.probed = probed
        if websocket:
            self.hear(_UPGRADE)

    def __call__(self, event: Event) -> None:
        match event:
            case MessageReceived(connection) if connection is self.session.state:
                assert self.asked == self.answered, "the answer before is still owed"
                self.asked += 1
            case Answered(connection, body) if connection is self.session.state:
                self.answered += 1
                assert not violations("relay", body), body

    @property
    def now(self) -> Moment:
        return Moment(self.time, NOW + self.time)

    def say(self, text: bytes) -> None:
        self.hear(_frame(text[:30_000]) if self.websocket else text + b"\n")

    def hear(self, data: bytes) -> None:
        self.take(self.session.receive_data(data, self.now))

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.closed, "something comes behind the end"
            if isinstance(action, SendAction):
                if not self.websocket:
                    for line in action.data.splitlines():
                        assert not isinstance(parse(loads(line), Role.RELAY), Violation)
            elif isinstance(action, CloseAction):
                self.closed = True
            else:
                assert isinstance(action, Dial)
                self.errands.append(action)

    def dialled(self, reached: bool) -> None:
        if self.errands:
            self.errands.pop()
            self.take(self.session.dialled(reached, self.now))


def _check(data: bytes) -> None:
    with _logging():
        _converse(Choices(data))


def _converse(choices: Choices) -> None:
    mode = choices.byte()
    config = Config(limits=LimitSettings(max_message=_LARGEST, max_depth=8))
    memory = MemoryRelay(*_TENANTS, config=config, buffer_pool=3, connection_limit=2, probe=bool(mode & 2))
    transcript, metrics = (
        RelayTranscript(Clock(lambda: 0.0, lambda: float(NOW))),
        RelayMetrics(memory.relay, lambda: 0.0),
    )
    wires = [_Wire(memory, websocket=bool(mode & bit), probed=bool(mode & 2)) for bit in (1, 4, 8)]
    for wire in wires:
        memory.relay.tell.add(wire)
    memory.relay.tell.add(tell)
    transcript.listen(memory.relay.tell)
    while choices:
        act = choices.byte()
        wire = wires[act % 3]
        if act < 128:
            wire.say(_TEXTS[act // 3 % len(_TEXTS)])
        elif act < 150:
            wire.say(_auth(choices.bytes(choices.byte())))
        elif act < 175:
            wire.say(choices.bytes(choices.byte()))
        elif act < 200:
            wire.hear(choices.bytes(choices.byte()))
        elif act < 220:
            wire.dialled(bool(act & 1))
        elif act < 230:
            text = _TEXTS[choices.below(len(_TEXTS))]
            at = choices.below(len(text))
            wire.say(text[:at] + choices.bytes(act % 4) + text[at + 1 :])
        elif act < 245:
            wire.time += act - 230
        else:
            wire.session.end(reset=bool(act & 1))
            wire.closed = False
    for wire in wires:
        wire.session.end()
        assert not wire.session.receive_data(_TEXTS[0], wire.now)
        assert wire.asked - wire.answered in (0, 1, -1)
    assert not memory.relay.state.usage
    assert not memory.relay.state.connections
    _check_kept(transcript, metrics)


def _check_kept(transcript: RelayTranscript, metrics: RelayMetrics) -> None:
    """See that what is kept of the clients' words can be shown anywhere, and is no more than it may be."""
    entries = transcript.entries()
    assert all(len(entry.tenant) + len(entry.subject) <= 2 * LONGEST_NAME for entry in entries)
    said = [(entry.tenant, entry.subject, entry.text) for entry in entries]
    json.dumps(said, ensure_ascii=False).encode()
    "\n".join(lines(entries)).encode()
    assert all(len(family.samples) < 200 for family in metrics.collect())


TARGET: Final = Target(
    _check,
    share=2,
    longest=250,
    words=(
        *_TEXTS[:2],
        b'{"sub":"u","tenant_id":"a"}',
        b'"\\ud800"',
        b'"tenant_id":',
        b'"sub":',
        b'"exp":',
        b"\n",
        b"{",
    ),
)
