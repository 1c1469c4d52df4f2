"""Which answer belongs to which request, as far as it shows: rows to the exchanges of each connection. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cbspec.protocol.messages import Role, Violation, parse
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.record.exchange import Exchange, Redaction, matches
from cbspec_conformance.record.transcript import End, Ended, Message, Opened, Transcript
from cbspec_conformance.tap.rows import (
    HowEnded,
    Row,
    Side,
    TapEnded,
    TapFrame,
    TapHalf,
    TapHead,
    TapMessage,
    TapNotSecured,
    TapOpened,
    TapSecured,
    TapUnreachable,
    TextFacts,
    TokenFacts,
)

_SUCCESSES: Final = frozenset(SUCCESS_TYPES.values())
_ABOUT: Final = {
    "invalid_tunnel_info": ("tunnel_info",),
    "buffer_pool_exhausted": ("tunnel_info",),
    "data_transfer_failed": ("tunnel_info",),
    "tenant_limit_exceeded": ("tunnel_info", "auth"),
    "tenant_not_found": ("tunnel_info", "auth"),
    "ip_not_allowed": ("tunnel_info", "auth"),
    "invalid_token": ("auth", "tunnel_info"),
}
"""The types of requests that draw a code."""

_MOST_EARLY: Final = 16
_ENDS: Final = {
    HowEnded.CLOSE_NOTIFY: End.CLOSE_NOTIFY,
    HowEnded.FIN: End.EOF,
    HowEnded.RESET: End.RESET,
    HowEnded.ALERT: End.TLS_ALERT,
}


@dataclass(slots=True, eq=False)
class Asked:
    """A request (None: the answers came unasked) and its answers so far.

    `facts` and `leaks` belong to the request and to the answers; `early` names the requests before it that had no
    answer when it was sent. `doubtful` says that the first answer may be that to another request, and `passed_over`
    that a later request was answered first. `unfinished`: the client had begun another message, which may be refused.
    """

    request: Message | None
    facts: TextFacts
    answers: list[Message] = field(default_factory=list)
    leaks: list[bool] = field(default_factory=list)
    early: list[Asked] = field(default_factory=list)
    doubtful: bool = False
    passed_over: bool = False
    unfinished: bool = False

    @property
    def type(self) -> str:
        """The type of the request."""
        return self.request.type if self.request is not None else ""

    def exchange(self, tenant: str, ended: Ended | None, waited: float = 0.0) -> Exchange:
        """Return the exchange, for the judgements of the suite; `tenant` is that of the connection's token."""
        auth = self.facts.auth
        leaking = tuple(number for number, leaks in enumerate(self.leaks) if leaks)
        nameless = auth is not None and not auth.named
        return Exchange(
            self.request,
            tuple(self.answers),
            ended=ended,
            tenant=tenant,
            waited=waited,
            redaction=Redaction(leaking, nameless),
        )


@dataclass(slots=True)
class TappedConnection:
    """Everything that was seen of one connection.

    `exchanges` are in the order of their requests. `frames` and `heads` are by side; `ended` are the ends, in order;
    `swapped` are requests that were answered before earlier ones, with these.
    """

    number: int
    opened: TapOpened
    patience: float = 5.0
    secured: dict[Side, TapSecured] = field(default_factory=dict)
    not_secured: dict[Side, TapNotSecured] = field(default_factory=dict)
    unreachable: TapUnreachable | None = None
    messages: list[tuple[TapMessage, Message]] = field(default_factory=list)
    exchanges: list[Asked] = field(default_factory=list)
    heads: dict[Side, TapHead] = field(default_factory=dict)
    frames: dict[Side, list[TapFrame]] = field(default_factory=lambda: {side: [] for side in Side})
    halves: dict[Side, TapHalf] = field(default_factory=dict)
    ended: list[TapEnded] = field(default_factory=list)
    swapped: list[tuple[Asked, list[Asked]]] = field(default_factory=list)
    last: float = 0.0
    _open: list[Asked] = field(default_factory=list)

    @property
    def transport(self) -> str:
        """The transport that the client chose."""
        return "websocket" if Side.CLIENT in self.heads else "tcp"

    @property
    def unanswered(self) -> list[Asked]:
        """The requests without an answer."""
        return list(self._open)

    @property
    def client(self) -> str:
        """The host of the client."""
        return self.opened.address.rpartition(":")[0]

    @property
    def tokens(self) -> list[TokenFacts]:
        """The facts of the tokens that the client sent."""
        return [asked.facts.auth for asked in self.exchanges if asked.facts.auth is not None]

    def end_by(self, side: Side) -> Ended | None:
        """Return how a side ended its half, if it did."""
        row = next((row for row in self.ended if row.side is side), None)
        return None if row is None else Ended(row.at, self.number, _ENDS[row.how], "")

    def records(self) -> Transcript:
        """Return the records that explain a finding."""
        tls = self.secured.get(Side.RELAY)
        version, cipher = (tls.version, tls.cipher) if tls is not None else ("", "")
        opened = Opened(self.opened.at, self.number, "the relay", self.opened.address, self.transport, version, cipher)
        ended = self.end_by(Side.RELAY)
        return Transcript(records=[opened, *(message for _, message in self.messages), *([ended] if ended else [])])

    def add(self, row: TapMessage) -> None:
        """Add a message."""
        message = row.message()
        self.messages.append((row, message))
        if row.side is Side.CLIENT:
            asked = Asked(message, row.facts, early=self._open[:_MOST_EARLY])
            self.exchanges.append(asked)
            self._open.append(asked)
        else:
            asked = self._asked(message)
            asked.unfinished = asked.unfinished or row.facts.begun
            asked.answers.append(message)
            asked.leaks.append(row.facts.leaks)

    def _asked(self, message: Message) -> Asked:
        """Return the exchange of an answer, which is a new one if it came unasked."""
        last = next((each for each in reversed(self.exchanges) if each not in self._open), None)
        found = self._by_type(message)
        if found is None and last is not None and self._continues(last, message):
            return last
        if found is None and self._open:
            found = self._by_code(message)
        if found is not None:
            passed = self._open[: self._open.index(found)]
            for each in passed:
                each.passed_over = True
            if passed and message.type != "error":
                self.swapped.append((found, passed))
            self._open.remove(found)
            return found
        self.exchanges.append(Asked(None, TextFacts()))
        return self.exchanges[-1]

    def _by_type(self, message: Message) -> Asked | None:
        """Return the first open request that a success answers, of those that don't wait for long."""
        found = [each for each in self._open if _is_answer(each, message)]
        return next((each for each in found if self._is_fresh(each, message)), found[0] if found else None)

    def _by_code(self, message: Message) -> Asked:
        """Return the open request that another message answers, by its code, and by those that were passed over."""
        waiting = [each for each in self._open if not each.passed_over and self._is_fresh(each, message)] or self._open
        code = message.member("code") if message.type == "error" else ""
        about = _ABOUT.get(code, ()) if isinstance(code, str) else ()
        for each in waiting:
            if each.type in about or (code == "unknown_message_type" and not _is_valid(each)):
                return each
        waiting[0].doubtful = len(self._open) > 1
        return waiting[0]

    def _is_fresh(self, asked: Asked, message: Message) -> bool:
        """Whether a request doesn't wait for so long that its answer seems to be lost."""
        return asked.request is not None and message.at - asked.request.at < self.patience

    def _continues(self, last: Asked, message: Message) -> bool:
        """Whether a message is a further answer to the last exchange that has one."""
        if last.request is None:
            return False
        if message.decoded.requirement:
            return not self._open and any(each.decoded.requirement for each in last.answers)
        if message.type == "error":
            same = any(each.type == "error" and each.value == message.value for each in last.answers)
            return same and not self._open
        if _is_answer(last, message):
            return not self._open or _is_valid(self._open[0])
        return not self._open and message.type in _SUCCESSES


def _is_answer(asked: Asked, message: Message) -> bool:
    return asked.request is not None and matches(asked.request, message)


def _is_valid(asked: Asked) -> bool:
    """Whether a request is a valid one, which draws no success answer of another type."""
    request = asked.request
    return (
        request is not None
        and not request.decoded.fault
        and not isinstance(parse(request.value, Role.CLIENT), Violation)
    )


def connections_of(rows: Iterable[Row], patience: float = 5.0) -> list[TappedConnection]:
    """Return the connections in rows, in their order; an answer that takes longer than `patience` seems to be lost."""
    found: dict[int, TappedConnection] = {}
    for row in rows:
        if isinstance(row, TapOpened):
            found[row.connection] = TappedConnection(row.connection, row, patience)
        number = getattr(row, "connection", 0)
        if number in found:
            _take(found[number], row)
            found[number].last = getattr(row, "at", 0.0)
    return list(found.values())


def _take(connection: TappedConnection, row: Row) -> None:
    match row:
        case TapMessage():
            connection.add(row)
        case TapSecured():
            connection.secured[row.side] = row
        case TapNotSecured():
            connection.not_secured[row.side] = row
        case TapUnreachable():
            connection.unreachable = row
        case TapHead():
            connection.heads[row.side] = row
        case TapFrame():
            connection.frames[row.side].append(row)
        case TapHalf():
            connection.halves[row.side] = row
        case TapEnded():
            connection.ended.append(row)
