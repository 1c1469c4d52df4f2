"""A model of a relay with several connections and tenants: what may come of any request, in any order. Pure.

The model knows what is held for certain, and what may be held: by connections that closed a moment ago, or on which
something happened that the page leaves open. Between the two, either answer is right. Every other freedom of a relay is
in the set of answers that `allowed` returns, too; what isn't in it is blamed on the requirement that it breaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from cbspec.protocol.state import SUCCESS_TYPES

NOTHING = ""
"""Stands, among answers, for no answer: silence, or the end of the connection alone."""

ANYTHING = "anything"
"""Stands, among answers, for any."""

ANY_ERROR = "any error"

_MUCH = 1_000_000
_FULL_TENANT = "tenant_limit_exceeded"
_FULL_RELAY = "connection_limit_reached"
_FULL_POOL = "buffer_pool_exhausted"


class Ask(Enum):
    """What may be asked on a connection."""

    HELLO = "hello"
    AUTH = "auth"
    BAD_AUTH = "an auth with a bad token"
    TUNNEL = "tunnel_info"
    BAD_TUNNEL = "a tunnel_info to port 0"
    FOREIGN_TUNNEL = "a tunnel_info for another tenant"
    HEARTBEAT = "heartbeat"
    UNKNOWN = "a message of unknown type"


SUCCESS = {
    **{Ask(request): answer for request, answer in SUCCESS_TYPES.items()},
    Ask.BAD_AUTH: SUCCESS_TYPES["auth"],
    Ask.BAD_TUNNEL: SUCCESS_TYPES["tunnel_info"],
    Ask.FOREIGN_TUNNEL: SUCCESS_TYPES["tunnel_info"],
}
"""The type of the answer that says that a request was served."""


class ModelStep(Enum):
    """How far a connection is. What is OPEN is where the page doesn't say."""

    NEW = auto()
    UNGREETED_OPEN = auto()
    GREETED = auto()
    GREETED_OPEN = auto()
    AUTHENTICATED = auto()
    OPEN = auto()
    ENDED = auto()


@dataclass(slots=True)
class ModelConnection:
    """One connection, as far as the model knows it.

    `tried` are the tenants that it tried to act for, `refused` says that the last answer was an error.
    """

    step: ModelStep = ModelStep.NEW
    tenant: str = ""
    tunnels: int = 0
    tried: set[str] = field(default_factory=set)
    refused: bool = False

    @property
    def certain(self) -> bool:
        """Whether the connection holds for certain what it was given."""
        return self.step is ModelStep.AUTHENTICATED


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """The limits that the profile declares: of tenants, by name, and the relay's own. None: there is none."""

    tunnels: Mapping[str, int | None]
    connections: Mapping[str, int | None]
    relay: int | None = None
    pool: int | None = None
    tenancy: bool = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """The answers that may come: types of success, codes of errors, NOTHING, ANY_ERROR, ANYTHING.

    `blame` is the requirement that any other answer breaks, `blames` the one that a certain answer does; `never` are
    answers that may not come although all else may.
    """

    answers: frozenset[str]
    blame: str = ""
    blames: Mapping[str, str] = field(default_factory=dict)
    never: Mapping[str, str] = field(default_factory=dict)

    def breach(self, answer: str, *, is_error: bool) -> str:
        """Return the requirement that an answer breaks, or "" where it is allowed."""
        if answer in self.never:
            return self.never[answer]
        if answer in self.answers or ANYTHING in self.answers or (is_error and ANY_ERROR in self.answers):
            return ""
        return self.blames.get(answer, self.blame)


_FREE = Allowed(frozenset({ANYTHING}))


@dataclass(frozen=True, slots=True)
class _Room:
    """How full a limit is: what is held `certain`ly and at `most`, by others than who asks."""

    code: str
    limit: int
    certain: int
    most: int
    over: str
    under: str

    @property
    def may_be_full(self) -> bool:
        return self.most >= self.limit

    @property
    def is_full(self) -> bool:
        return self.certain >= self.limit


class Model:
    """All connections of a relay, and what became of them.

    `connections` are those that were made, in order; `allowed` says what may come of a request, `happened` takes what
    came, `ended` the end of a connection. A relay that gives back `late` may be full of what was before.
    """

    def __init__(self, limits: ModelLimits, *, late: bool = False) -> None:
        self.limits = limits
        self.connections: list[ModelConnection] = []
        before = _MUCH if late else 0
        self._gone_tunnels: defaultdict[str, int] = defaultdict(lambda: before)
        self._gone_connections: defaultdict[str, int] = defaultdict(lambda: before)
        self._gone = self._late = before
        self._refused: dict[str, int] = {}

    def connect(self) -> ModelConnection:
        """Take a new connection."""
        self.connections.append(ModelConnection())
        return self.connections[-1]

    @property
    def open(self) -> list[ModelConnection]:
        """The connections that haven't ended."""
        return [each for each in self.connections if each.step is not ModelStep.ENDED]

    def allowed(self, connection: ModelConnection, ask: Ask, tenant: str = "") -> Allowed:
        """Return what may come of a request; `tenant` is whom an auth is for."""
        found = self._by_step(connection, ask, tenant)
        requirement = self._never(connection, ask)
        return replace(found, never={SUCCESS[ask]: requirement}) if requirement else found

    def happened(self, connection: ModelConnection, ask: Ask, answer: str, *, is_error: bool, tenant: str = "") -> None:
        """Take the answer to a request, which was allowed."""
        served = answer == SUCCESS.get(ask)
        connection.refused = is_error
        if ask is Ask.HELLO:
            self._greeted(connection, served=served)
        elif ask in (Ask.AUTH, Ask.BAD_AUTH):
            self._authenticated(connection, tenant, served=served)
        elif ask is Ask.TUNNEL and served:
            connection.tunnels += 1
        elif is_error and connection.tenant and ask in (Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL):
            self._refused[connection.tenant] = self._refused.get(connection.tenant, 0) + 1
        elif connection.step is ModelStep.NEW:
            connection.step = ModelStep.UNGREETED_OPEN
        elif connection.step is ModelStep.GREETED and is_error:
            connection.step = ModelStep.GREETED_OPEN

    def ended(self, connection: ModelConnection) -> None:
        """Take the end of a connection. How soon the relay gives back what it held is its own affair."""
        if connection.step is ModelStep.ENDED:
            return
        connection.step = ModelStep.ENDED
        tenant = connection.tenant
        self._gone_tunnels[tenant] += connection.tunnels
        self._gone += 1
        for name in connection.tried:
            self._gone_connections[name] += 1

    # ------------------------------------------------------------------ what may come

    def _never(self, connection: ModelConnection, ask: Ask) -> str:
        """Return the requirement by which a request is never served, whatever came before; "" where it may be."""
        if ask in (Ask.TUNNEL, Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL) and not connection.tenant:
            return "CB-TUN-003"
        if ask is Ask.BAD_AUTH and not connection.tenant:  # what comes of another auth is an open point
            return "CB-AUT-008"
        if ask is Ask.FOREIGN_TUNNEL and self.limits.tenancy:
            return "CB-TEN-006"
        return "CB-TUN-010" if ask is Ask.BAD_TUNNEL else ""

    def _by_step(self, connection: ModelConnection, ask: Ask, tenant: str) -> Allowed:
        if connection.step in (ModelStep.NEW, ModelStep.UNGREETED_OPEN):
            return self._ungreeted(connection, ask)
        if connection.step is ModelStep.GREETED:
            return self._greeted_asks(connection, ask, tenant)
        if connection.step is ModelStep.AUTHENTICATED:
            return self._authenticated_asks(connection, ask)
        return _FREE

    def _ungreeted(self, connection: ModelConnection, ask: Ask) -> Allowed:
        if ask is not Ask.HELLO:
            return Allowed(frozenset({ANY_ERROR, NOTHING}), "CB-HEL-007")
        if connection.step is ModelStep.UNGREETED_OPEN:
            return _FREE
        # A relay may count a connection from hello, from auth, or from its first tunnel on.
        return self._with_room("hello_response", [self._relay(connection)], "CB-HEL-001", may_pass=True)

    def _greeted_asks(self, connection: ModelConnection, ask: Ask, tenant: str) -> Allowed:
        if ask is Ask.AUTH:
            rooms = [self._relay(connection), self._tenant_connections(connection, tenant)]
            # A connection over a limit may be refused only when it asks for a tunnel.
            return self._with_room("auth_response", rooms, "CB-AUT-001", may_pass=True)
        if ask is Ask.BAD_AUTH:
            return self._with_room("invalid_token", [self._relay(connection)], "CB-AUT-008", may_pass=True)
        if ask is Ask.TUNNEL:
            return self._with_room("invalid_token", [self._relay(connection)], "CB-TUN-004", may_pass=True)
        return _FREE

    def _authenticated_asks(self, connection: ModelConnection, ask: Ask) -> Allowed:
        tenant = connection.tenant
        connections = [self._relay(connection), self._tenant_connections(connection, tenant)]
        every = [*connections, self._tunnels(tenant), self._pool()]
        # Which is looked at first, the limits or what is wrong with the request, is the relay's affair.
        if ask is Ask.TUNNEL:
            return self._with_room("tunnel_response", every, "CB-TUN-001")
        if ask is Ask.BAD_TUNNEL:
            return self._with_room("invalid_tunnel_info", every, "CB-TUN-010", may_pass=True)
        if ask is Ask.FOREIGN_TUNNEL:
            return self._with_room("tenant_not_found", every, "CB-TEN-007", may_pass=True)
        if ask is Ask.HEARTBEAT:
            return self._with_room("heartbeat_response", connections, "CB-HBT-001", may_pass=True)
        if ask is Ask.UNKNOWN:
            return self._with_room("unknown_message_type", connections, "CB-UNK-001", may_pass=True)
        return _FREE

    @staticmethod
    def _with_room(answer: str, rooms: list[_Room | None], blame: str, *, may_pass: bool = False) -> Allowed:
        """Return what may come where limits have a say; with `may_pass` a full one needn't refuse this request yet."""
        known = [room for room in rooms if room is not None]
        answers = {room.code for room in known if room.may_be_full}
        if any(room.may_be_full and room.code == _FULL_RELAY for room in known):
            answers.add(NOTHING)
        blames = {room.code: room.under for room in known if not room.may_be_full}
        full = next((room for room in known if room.is_full), None)
        if full is None or may_pass:
            return Allowed(frozenset({answer, *answers}), blame, blames)
        if full.code == _FULL_RELAY:
            return Allowed(frozenset(answers), "CB-CON-003", {answer: full.over})
        return Allowed(frozenset(answers), full.over)

    # ------------------------------------------------------------------ how full the limits are

    def _others(self, connection: ModelConnection) -> Iterator[ModelConnection]:
        return (each for each in self.open if each is not connection)

    def _relay(self, connection: ModelConnection) -> _Room | None:
        limit = self.limits.relay
        if limit is None or connection.tunnels:  # who has a tunnel is served
            return None
        others = list(self._others(connection))
        certain = sum(each.certain and each.tunnels > 0 for each in others)
        return _Room(_FULL_RELAY, limit, certain, len(others) + self._gone, "CB-CON-002", "CB-CON-001")

    def _tenant_connections(self, connection: ModelConnection, tenant: str) -> _Room | None:
        limit = self.limits.connections.get(tenant)
        if limit is None or connection.tunnels:
            return None
        theirs = [each for each in self._others(connection) if tenant in each.tried]  # an auth that failed may count
        certain = sum(each.certain and each.tunnels > 0 for each in theirs)
        most = len(theirs) + self._gone_connections[tenant]
        return _Room(_FULL_TENANT, limit, certain, most, "CB-LIM-012", "CB-LIM-011")

    def _tunnels(self, tenant: str) -> _Room | None:
        limit = self.limits.tunnels.get(tenant)
        if limit is None:
            return None
        theirs = [each for each in self.open if each.tenant == tenant and each.tunnels]
        certain = sum(each.tunnels for each in theirs if each.certain)
        most = sum(each.tunnels for each in theirs) + self._gone_tunnels[tenant]
        counts_refused = most + self._refused.get(tenant, 0) >= limit
        over = "CB-LIM-005" if len(theirs) > 1 else "CB-LIM-002"
        return _Room(_FULL_TENANT, limit, certain, most, over, "CB-LIM-003" if counts_refused else "CB-LIM-001")

    def _pool(self) -> _Room | None:
        if self.limits.pool is None:
            return None
        certain = sum(each.tunnels for each in self.open if each.certain)
        most = sum(each.tunnels for each in self.open) + sum(self._gone_tunnels.values()) + self._late
        return _Room(_FULL_POOL, self.limits.pool, certain, most, "CB-BUF-002", "CB-BUF-001")

    # ------------------------------------------------------------------ what came

    @staticmethod
    def _greeted(connection: ModelConnection, *, served: bool) -> None:
        if connection.step in (ModelStep.NEW, ModelStep.UNGREETED_OPEN):
            connection.step = ModelStep.GREETED if served else ModelStep.UNGREETED_OPEN
        elif connection.step is ModelStep.GREETED:
            connection.step = ModelStep.GREETED_OPEN
        elif connection.step is ModelStep.AUTHENTICATED:
            connection.step = ModelStep.OPEN

    @staticmethod
    def _authenticated(connection: ModelConnection, tenant: str, *, served: bool) -> None:
        before = connection.step
        connection.tried.add(tenant)
        connection.tenant = connection.tenant or (tenant if served else "")
        if before in (ModelStep.NEW, ModelStep.UNGREETED_OPEN):
            connection.step = ModelStep.OPEN if served else ModelStep.UNGREETED_OPEN
        elif before is ModelStep.GREETED:
            connection.step = ModelStep.AUTHENTICATED if served else ModelStep.GREETED_OPEN
        else:
            connection.step = ModelStep.OPEN if connection.tenant else ModelStep.GREETED_OPEN
