"""The relay without I/O: sessions that turn bytes into actions, over state that they share.

A session is told what arrived and when, and says what is to be done: `Send` these bytes, `Dial` a remote end, `Close`.
Whatever it holds it gives back in `end`, which the edge calls however the connection ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from cbspec.codes import ErrorCode
from cbspec.connection import (
    Connection,
    Event,
    Framer,
    RemoteProtocolError,
    RequestReceived,
    RequestRefused,
)
from cbspec.framing import Frame
from cbspec.messages import (
    RULES,
    Answer,
    Auth,
    AuthResponse,
    Error,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    Role,
    TunnelInfo,
    TunnelResponse,
    Violation,
    to_dict,
)
from cbspec.state import State
from cbspec.strictjson import NotStrictJson
from cbspec.tokens import Verifier
from cbspec.websocket import WebSocketFramer
from simulator.behaviour import Authority, Behaviour, Exchange
from simulator.config import Config
from simulator.limits import Account, Ledger, Meters
from simulator.steps import BUFFERS, TENANT_TUNNELS, Address, Attempt, Dial, Identity, Moment, Refused, Step


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes go to the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends behind what was sent."""


Action = Send | Dial | Close


class Observer(Protocol):
    """What is told of the relay's work, for counting."""

    def connected(self) -> None:
        """Take note of a connection whose first bytes arrived."""

    def received(self, message: str) -> None:
        """Take note of a message from a client: its type, or "unknown"."""

    def refused(self, code: ErrorCode) -> None:
        """Take note of an error that went out."""


class Unobserved:
    """Counts nothing."""

    def connected(self) -> None:
        """Do nothing."""

    def received(self, message: str) -> None:
        """Do nothing."""

    def refused(self, code: ErrorCode) -> None:
        """Do nothing."""


class Relay:
    """What all connections share: configuration, behaviour, tenants, and what is in use.

    Set `draining` to have new work refused while what is open goes on; `connected` counts the connections so far.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None, observer: Observer | None = None) -> None:
        self.config: Config = config
        self.behaviour: Behaviour = behaviour or Behaviour()
        self.observer: Observer = observer or Unobserved()
        self.tenants = {tenant.id: tenant for tenant in config.tenants}
        key, rules = config.tokens.key(), config.tokens
        leeway = rules.leeway if self.behaviour.leeway is None else self.behaviour.leeway
        verifier = Verifier(key, leeway=leeway, issuer=rules.issuer, audience=rules.audience)
        self.authority = Authority(key, verifier, self.tenants)
        self.draining = config.relay.draining
        self.ledger = Ledger()
        self.meters = Meters(self.behaviour.meter)
        self.sessions: set[Session] = set()
        self.connected = 0

    def connect(self, address: str, *, websocket: bool = False) -> Session:
        """Return the session of a new connection from an address."""
        self.connected += 1
        behaviour, limits = self.behaviour, self.config.limits
        framer = behaviour.websocket(limits) if websocket else behaviour.stream(limits)
        session = Session(self, plain_address(address), self.connected, framer)
        self.sessions.add(session)
        self.observer.connected()
        return session

    def drain(self) -> None:
        """Take no new work from now on."""
        self.draining = True

    def tunnels(self, tenant_id: str) -> int:
        """Return how many tunnels a tenant has open."""
        return self.ledger.used(Account(TENANT_TUNNELS.name, tenant_id))

    @property
    def buffers(self) -> int:
        """How many buffers are in use: one for each open tunnel."""
        return self.ledger.used(Account(BUFFERS.name, None))


class Session:
    """One connection.

    `receive_data`, `dialled` and `end` are told what happened; the first two return what is to be done.
    """

    def __init__(self, relay: Relay, address: Address, number: int, framer: Framer) -> None:
        self.relay = relay
        self.address = address
        self.number = number
        self.admitted = False
        self.identity: Identity | None = None
        self.tunnels: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.framer = framer
        self.connection = Connection(Role.RELAY, framer, read=self._read, table=relay.behaviour.table)
        self._held: list[Account] = []
        self._waiting: tuple[Attempt, Iterator[Step], RequestReceived] | None = None
        self._closing = False

    def receive_data(self, data: bytes, now: Moment) -> list[Action]:
        """Take bytes from the client."""
        if self.ended or self._closing:
            return []
        self.connection.receive_data(data)
        if isinstance(self.framer, WebSocketFramer):
            self.framer.pongs.clear()  # nobody here asked for any
        return [*self._unasked(), *self._go_on(now)]

    def dialled(self, reached: bool, now: Moment) -> list[Action]:
        """Take the outcome of a `Dial`."""
        if self._waiting is None:
            return []
        attempt, steps, event = self._waiting
        self._waiting = None
        attempt.dialled, attempt.now = reached, now
        return [*self._pass(attempt, steps, event), *self._go_on(now)]

    def end(self) -> None:
        """Give back what the connection held."""
        if self.ended:
            return
        self.connection.receive_end()
        if self._waiting is not None:
            self._give_back(self._waiting[0].held)
            self._waiting = None
        self._give_back(self._held)
        self.tunnels.clear()
        self.relay.sessions.discard(self)

    def hold(self, account: Account) -> None:
        """Keep what was taken from an account until the connection ends."""
        self._held.append(account)

    @property
    def ended(self) -> bool:
        """Nothing is held any more, and nothing will be answered."""
        return self.connection.state is State.CLOSED

    @property
    def opened(self) -> bool:
        """Messages can be exchanged: a WebSocket's opening handshake is done, or there is none."""
        return not isinstance(self.framer, WebSocketFramer) or self.framer.opened

    def close(self) -> list[Action]:
        """Say goodbye where the transport has words for it."""
        return [] if self.ended else [action for action in self._close() if isinstance(action, Send)]

    def _go_on(self, now: Moment) -> Iterator[Action]:
        while not self._closing:
            try:
                event = self.connection.next_event()
            except RemoteProtocolError as error:
                yield from self._answer(Error(ErrorCode.UNKNOWN_MESSAGE_TYPE, str(error)), None, error.requirement)
                yield from self._close()
                return
            if event is None:
                break
            yield from self._handle(event, now)
        if isinstance(self.framer, WebSocketFramer) and (self.framer.ended or self.framer.failure):
            yield from self._close()

    def _handle(self, event: Event, now: Moment) -> Iterator[Action]:
        behaviour = self.relay.behaviour
        request = event.request if isinstance(event, RequestReceived) else None
        attempt = Attempt(self, request, now, self.identity)
        every = behaviour.every if self.identity is not None and not isinstance(request, Auth) else ()
        if isinstance(event, RequestReceived):
            yield from self._pass(attempt, iter((*every, *behaviour.steps[type(event.request)])), event)
        elif isinstance(event, RequestRefused):
            try:
                for step in every:
                    step.check(attempt)
                refused = behaviour.refuse(attempt, event)
            except Refused as earlier:
                refused = earlier
            yield from self._refuse(attempt, refused, event.requirement)

    def _pass(self, attempt: Attempt, steps: Iterator[Step], event: RequestReceived) -> Iterator[Action]:
        """Take the steps that are left, as far as they lead."""
        try:
            if attempt.identity is None and isinstance(attempt.request, TunnelInfo):
                attempt.identity = self.relay.behaviour.stranger(attempt)
            for step in steps:
                if not step.when(attempt):
                    continue
                wanted = step.check(attempt)
                if wanted is not None:
                    self._waiting = attempt, steps, event
                    yield wanted
                    return
        except Refused as refused:
            yield from self._refuse(attempt, refused, event.rule.requirement)
        else:
            yield from self._answer(self._serve(attempt), event.request, event.rule.requirement)

    def _serve(self, attempt: Attempt) -> Answer:
        self._held += attempt.held
        request = attempt.request
        if isinstance(request, Hello):
            self.admitted = True
            return HelloResponse(features=self.relay.config.relay.features)
        if isinstance(request, Auth):
            self.identity = attempt.known
            return AuthResponse(attempt.known.subject, attempt.known.tenant.id)
        if isinstance(request, TunnelInfo):
            self.tunnels.add(request.tunnel_id)
            return TunnelResponse(request.tunnel_id)
        return HeartbeatResponse()

    def _refuse(self, attempt: Attempt, refused: Refused, requirement: str) -> Iterator[Action]:
        self._give_back(attempt.held)
        self.relay.behaviour.refused(attempt, refused)
        yield from self._answer(Error(refused.code, refused.text), attempt.request, requirement)
        if refused.close:
            yield from self._close()

    def _answer(self, answer: Answer, request: Request | None, requirement: str) -> Iterator[Action]:
        behaviour = self.relay.behaviour
        self.connection.note(answer)
        self.sent[answer.type] += 1
        if isinstance(answer, Error):
            self.relay.observer.refused(ErrorCode(answer.code))
        exchange = Exchange(self, request, requirement, self.sent[answer.type])
        body = to_dict(answer)
        for message in behaviour.answers(body, exchange):
            for text in behaviour.spell(message, exchange):
                if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
                    return
                yield Send(self.framer.encode(text))
        if behaviour.ends(body):
            yield from self._close()

    def _close(self) -> Iterator[Action]:
        if self._closing:
            return
        self._closing = True
        if isinstance(self.framer, WebSocketFramer):
            self.framer.close()
            yield from self._unasked()
        yield Close()

    def _unasked(self) -> Iterator[Action]:
        if data := self.framer.data_to_send():
            yield Send(data)

    def _give_back(self, held: list[Account]) -> None:
        for account in filter(self.relay.behaviour.gives_back, held):
            self.relay.ledger.give(account)
        held.clear()

    def _read(self, frame: Frame, sender: Role) -> Message | Violation:
        behaviour, value = self.relay.behaviour, None
        found: Message | Violation
        try:
            value = behaviour.decode(frame, self.relay.config.limits.max_depth)
            found = behaviour.understand(value)
        except NotStrictJson as error:
            requirement = "CB-MSG-006" if error.utf8 else "CB-MSG-005"
            found = Violation(requirement, ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {error.reason}")
        self.relay.observer.received(_type_of(value))
        return found


def _type_of(value: object) -> str:
    name = value.get("type") if isinstance(value, dict) else None
    known = isinstance(name, str) and name in RULES and RULES[name].sender is Role.CLIENT
    return str(name) if known else "unknown"


def plain_address(text: str) -> Address:
    """Return a peer's address; an IPv4 address in IPv6 clothes as what it is, a zone left out."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
