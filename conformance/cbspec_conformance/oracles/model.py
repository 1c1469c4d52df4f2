"""A model of a relay with several connections and tenants: the allowed answers to any request, in any order. Pure.

The model knows the lower and the upper bound of the usage of each limit. They differ by connections that closed a
moment ago, or whose state is an open point. Between the bounds, both answers are right. Every other freedom of a relay
is in the set of answers that `allowed` returns, too; any other answer breaks the requirement that it names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from cbspec.protocol.state import SUCCESS_TYPES

NOTHING = ""  # the answer of a relay that is silent or only ends the connection
ANYTHING = "anything"  # allows every answer
ANY_ERROR = "any error"  # allows every error

_MUCH = 1_000_000
_FULL_TENANT = "tenant_limit_exceeded"
_FULL_RELAY = "connection_limit_reached"
_FULL_POOL = "buffer_pool_exhausted"


class Ask(Enum):
    """The requests of a client."""

    HELLO = "hello"
    AUTH = "auth"
    BAD_AUTH = "an auth with a bad token"
    TUNNEL = "tunnel_info"
    BAD_TUNNEL = "a tunnel_info to port 0"
    FOREIGN_TUNNEL = "a tunnel_info for another tenant"
    HEARTBEAT = "heartbeat"
    UNKNOWN = "a message of unknown type"


_TUNNELS = (Ask.TUNNEL, Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL)

SUCCESS = {
    **{Ask(request): answer for request, answer in SUCCESS_TYPES.items()},
    Ask.BAD_AUTH: SUCCESS_TYPES["auth"],
    Ask.BAD_TUNNEL: SUCCESS_TYPES["tunnel_info"],
    Ask.FOREIGN_TUNNEL: SUCCESS_TYPES["tunnel_info"],
}
"""The type of the answer to a served request."""


class ModelStep(Enum):
    """The state of a connection. The specification leaves the reactions in an OPEN state open."""

    NEW = auto()
    UNGREETED_OPEN = auto()
    GREETED = auto()
    GREETED_OPEN = auto()
    AUTHENTICATED = auto()
    OPEN = auto()
    ENDED = auto()


_ANSWERS = {
    (ModelStep.NEW, Ask.HELLO): ("hello_response", "CB-HEL-001"),
    (ModelStep.GREETED, Ask.AUTH): ("auth_response", "CB-AUT-001"),
    (ModelStep.GREETED, Ask.BAD_AUTH): ("invalid_token", "CB-AUT-008"),
    (ModelStep.GREETED, Ask.TUNNEL): ("invalid_token", "CB-TUN-004"),
    (ModelStep.AUTHENTICATED, Ask.TUNNEL): ("tunnel_response", "CB-TUN-001"),
    (ModelStep.AUTHENTICATED, Ask.BAD_TUNNEL): ("invalid_tunnel_info", "CB-TUN-010"),
    (ModelStep.AUTHENTICATED, Ask.FOREIGN_TUNNEL): ("tenant_not_found", "CB-TEN-007"),
    (ModelStep.AUTHENTICATED, Ask.HEARTBEAT): ("heartbeat_response", "CB-HBT-001"),
    (ModelStep.AUTHENTICATED, Ask.UNKNOWN): ("unknown_message_type", "CB-UNK-001"),
}
"""The answer of a relay below its limits, and the requirement that any other answer breaks; other pairs are open."""


@dataclass(slots=True)
class ModelConnection:
    """One connection in the model.

    `tried` are the tenants of all its auths; `refused` says that the last answer was an error.
    """

    step: ModelStep = ModelStep.NEW
    tenant: str = ""
    tunnels: int = 0
    tried: set[str] = field(default_factory=set)
    refused: bool = False

    @property
    def certain_tunnels(self) -> int:
        """The tunnels that the connection certainly holds."""
        return self.tunnels if self.step is ModelStep.AUTHENTICATED else 0


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """The limits that the profile declares: of tenants, by name, and the relay's own. None: no limit."""

    tunnels: Mapping[str, int | None]
    connections: Mapping[str, int | None]
    relay: int | None = None
    pool: int | None = None
    tenancy: bool = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allowed answers: types of success, codes of errors, NOTHING, ANY_ERROR, ANYTHING.

    `blame` is the requirement that any other answer breaks, unless `blames` names one for that answer. `never` has
    forbidden answers, with their requirements, even if ANYTHING else is allowed.
    """

    answers: frozenset[str]
    blame: str = ""
    blames: Mapping[str, str] = field(default_factory=dict)
    never: Mapping[str, str] = field(default_factory=dict)

    def breach(self, answer: str, *, is_error: bool) -> str:
        """Return the requirement that an answer breaks, or ""."""
        if answer in self.never:
            return self.never[answer]
        if answer in self.answers or ANYTHING in self.answers or (is_error and ANY_ERROR in self.answers):
            return ""
        return self.blames.get(answer, self.blame)


_FREE = Allowed(frozenset({ANYTHING}))


@dataclass(frozen=True, slots=True)
class _Usage:
    """The usage of a limit without the requesting connection: at least `certain`, at most `most`.

    `over` and `under` are the requirements that service above the limit and a refusal below it break.
    """

    code: str
    limit: int
    certain: int
    most: int
    over: str
    under: str


class Model:
    """All connections of a relay, in the order in which they were made.

    `allowed` returns the allowed answers to a request, `happened` records the answer, `ended` the end of a connection.
    A relay that releases limits `late` may still count earlier connections.
    """

    def __init__(self, limits: ModelLimits, *, late: bool = False) -> None:
        self.limits = limits
        self.connections: list[ModelConnection] = []
        self._late = _MUCH if late else 0
        self._gone = 0
        self._gone_tunnels = Counter[str]()
        self._gone_connections = Counter[str]()
        self._refused = Counter[str]()

    def connect(self) -> ModelConnection:
        """Add a new connection."""
        self.connections.append(ModelConnection())
        return self.connections[-1]

    @property
    def open(self) -> list[ModelConnection]:
        """The connections that haven't ended."""
        return [each for each in self.connections if each.step is not ModelStep.ENDED]

    def allowed(self, connection: ModelConnection, ask: Ask, tenant: str = "") -> Allowed:
        """Return the allowed answers to a request; `tenant` is the tenant of an auth."""
        found = self._by_step(connection, ask, tenant)
        requirement = self._never_served(connection, ask)
        return replace(found, never={SUCCESS[ask]: requirement}) if requirement else found

    def happened(self, connection: ModelConnection, ask: Ask, answer: str, *, is_error: bool, tenant: str = "") -> None:
        """Record an allowed answer to a request."""
        served = answer == SUCCESS.get(ask)
        connection.refused = is_error
        if ask is Ask.HELLO:
            self._hello_answered(connection, served=served)
        elif ask in (Ask.AUTH, Ask.BAD_AUTH):
            self._auth_answered(connection, tenant, served=served)
        elif ask is Ask.TUNNEL and served:
            connection.tunnels += 1
        elif is_error and connection.tenant and ask in (Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL):
            self._refused[connection.tenant] += 1
        elif connection.step is ModelStep.NEW:
            connection.step = ModelStep.UNGREETED_OPEN
        elif connection.step is ModelStep.GREETED and is_error:
            connection.step = ModelStep.GREETED_OPEN

    def ended(self, connection: ModelConnection) -> None:
        """Record the end of a connection. The relay may release its usage at any time afterwards."""
        if connection.step is not ModelStep.ENDED:
            connection.step = ModelStep.ENDED
            self._gone_tunnels[connection.tenant] += connection.tunnels
            self._gone += 1
            self._gone_connections.update(connection.tried)

    # ------------------------------------------------------------------ allowed answers

    def _never_served(self, connection: ModelConnection, ask: Ask) -> str:
        """Return the requirement by which a request is never served, in any state, or ""."""
        if ask in _TUNNELS and not connection.tenant:
            return "CB-TUN-003"
        if ask is Ask.BAD_AUTH and not connection.tenant:  # a second auth is an open point
            return "CB-AUT-008"
        if ask is Ask.FOREIGN_TUNNEL and self.limits.tenancy:
            return "CB-TEN-006"
        return "CB-TUN-010" if ask is Ask.BAD_TUNNEL else ""

    def _by_step(self, connection: ModelConnection, ask: Ask, tenant: str) -> Allowed:
        step = connection.step
        if step in (ModelStep.NEW, ModelStep.UNGREETED_OPEN) and ask is not Ask.HELLO:
            return Allowed(frozenset({ANY_ERROR, NOTHING}), "CB-HEL-007")
        if (step, ask) not in _ANSWERS:
            return _FREE
        answer, blame = _ANSWERS[step, ask]
        usages = self._usages(connection, ask, connection.tenant or tenant)
        answers = {usage.code for usage in usages if usage.most >= usage.limit}
        if _FULL_RELAY in answers:
            answers.add(NOTHING)
        blames = {usage.code: usage.under for usage in usages if usage.most < usage.limit}
        full = next((usage for usage in usages if usage.certain >= usage.limit), None)
        # A relay may count a connection from hello, from auth, or from its first tunnel on. If a request is invalid, it
        # may check the limits or the request first.
        if full is None or (step, ask) != (ModelStep.AUTHENTICATED, Ask.TUNNEL):
            return Allowed(frozenset({answer, *answers}), blame, blames)
        if full.code == _FULL_RELAY:
            return Allowed(frozenset(answers), "CB-CON-003", {answer: full.over})
        return Allowed(frozenset(answers), full.over)

    def _usages(self, connection: ModelConnection, ask: Ask, tenant: str) -> list[_Usage]:
        """Return the usage of every declared limit against which a request counts."""
        limits, found = self.limits, list[_Usage]()
        authenticated = connection.step is ModelStep.AUTHENTICATED

        def add(code: str, limit: int | None, certain: int, most: int, over: str, under: str) -> None:
            if limit is not None:
                found.append(_Usage(code, limit, certain, most + self._late, over, under))

        if not connection.tunnels:  # a connection with a tunnel is within the limits
            others = [each for each in self.open if each is not connection]
            certain, most = sum(each.certain_tunnels > 0 for each in others), len(others) + self._gone
            add(_FULL_RELAY, limits.relay, certain, most, "CB-CON-002", "CB-CON-001")
            if authenticated or ask is Ask.AUTH:
                theirs = [each for each in others if tenant in each.tried]  # one whose auth was refused may count, too
                certain, most = sum(each.certain_tunnels > 0 for each in theirs), self._gone_connections[tenant]
                limit = limits.connections.get(tenant)
                add(_FULL_TENANT, limit, certain, len(theirs) + most, "CB-LIM-012", "CB-LIM-011")
        if authenticated and ask in _TUNNELS:
            theirs = [each for each in self.open if each.tenant == tenant and each.tunnels]
            limit = limits.tunnels.get(tenant)
            most = sum(each.tunnels for each in theirs) + self._gone_tunnels[tenant]
            over = "CB-LIM-005" if len(theirs) > 1 else "CB-LIM-002"
            under = "CB-LIM-003" if most + self._late + self._refused[tenant] >= (limit or 0) else "CB-LIM-001"
            add(_FULL_TENANT, limit, sum(each.certain_tunnels for each in theirs), most, over, under)
            most = sum(each.tunnels for each in self.open) + self._gone_tunnels.total()
            certain = sum(each.certain_tunnels for each in self.open)
            add(_FULL_POOL, limits.pool, certain, most, "CB-BUF-002", "CB-BUF-001")
        return found

    # ------------------------------------------------------------------ answers

    @staticmethod
    def _hello_answered(connection: ModelConnection, *, served: bool) -> None:
        first = ModelStep.GREETED if served else ModelStep.UNGREETED_OPEN
        after = {
            ModelStep.NEW: first,
            ModelStep.UNGREETED_OPEN: first,
            ModelStep.GREETED: ModelStep.GREETED_OPEN,
            ModelStep.AUTHENTICATED: ModelStep.OPEN,
        }
        connection.step = after.get(connection.step, connection.step)

    @staticmethod
    def _auth_answered(connection: ModelConnection, tenant: str, *, served: bool) -> None:
        connection.tried.add(tenant)
        connection.tenant = connection.tenant or (tenant if served else "")
        if connection.step in (ModelStep.NEW, ModelStep.UNGREETED_OPEN):
            connection.step = ModelStep.OPEN if served else ModelStep.UNGREETED_OPEN
        elif connection.step is ModelStep.GREETED:
            connection.step = ModelStep.AUTHENTICATED if served else ModelStep.GREETED_OPEN
        else:
            connection.step = ModelStep.OPEN if connection.tenant else ModelStep.GREETED_OPEN
