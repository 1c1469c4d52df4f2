"""The verdicts on the relay that traffic alone can show: rows to findings. Pure.

Three kinds of facts need no control: an answer that breaks an invariant; a request that no relay may accept, and that
was accepted; a valid request whose answer no state of a relay excuses. A wrong code counts only if the relay accepted a
valid request of the same type. Everything else depends on the relay's limits, keys and tenants, which the tap can't
know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cbspec.catalogue.requirements import Level, find
from cbspec.protocol.handshake import accept_value
from cbspec.protocol.messages import Role, Violation, parse
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.judging.judge import OUT_OF_ROOM, describe, is_success, named
from cbspec_conformance.judging.verdicts import OWN_REQUIREMENT, Finding, Outcome
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.exchange import ABOUT_A_REQUEST
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.record.render import render, render_connection
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.tap.pairing import Asked, TappedConnection
from cbspec_conformance.tap.rows import Side, TapHeader, TokenFacts

_LEEWAY: Final = 600.0  # seconds after which every relay must refuse a token that is expired or not yet valid
_MOST_UNANSWERED: Final = 20  # requests of a connection that are judged
_FEATURES: Final = 5  # that the specification's hello lists
_ANSWERS: Final = (*SUCCESS_TYPES.values(), "error")
_INVALID: Final = ("invalid_token",)
_REFUSALS: Final = ("error", "failed", "failure", "denied", "refused", "rejected", "unauthorized", "invalid")
_EXCUSES: Final = frozenset({*map(str, OUT_OF_ROOM), "ip_not_allowed", "data_transfer_failed"})
"""Codes that depend on the relay's state: they say nothing about a request."""

OBSERVABLE: Final = (
    "CB-HEL-001", "CB-HEL-002", "CB-HEL-003", "CB-HEL-004", "CB-HEL-005", "CB-HEL-006", "CB-HEL-007", "CB-HEL-008",
    "CB-AUT-001", "CB-AUT-002", "CB-AUT-003", "CB-AUT-004", "CB-AUT-005", "CB-AUT-006", "CB-AUT-010", "CB-AUT-012",
    "CB-AUT-013", "CB-AUT-014", "CB-AUT-015", "CB-AUT-016",
    "CB-TUN-001", "CB-TUN-002", "CB-TUN-003", "CB-TUN-004", "CB-TUN-005", "CB-TUN-006", "CB-TUN-007", "CB-TUN-008",
    "CB-TUN-009", "CB-TUN-010", "CB-TUN-011", "CB-TUN-012", "CB-TUN-013",
    "CB-HBT-001", "CB-ERR-001", "CB-ERR-002", "CB-ERR-003", "CB-ERR-004", "CB-UNK-001", "CB-UNK-002", "CB-UNK-003",
    "CB-MSG-001", "CB-MSG-002", "CB-MSG-003", "CB-MSG-004", "CB-MSG-005", "CB-MSG-006", "CB-MSG-007", "CB-MSG-011",
    "CB-CMP-001", "CB-CMP-002", "CB-CMP-003", "CB-TLS-001", "CB-TEN-001", "CB-TEN-005", "CB-TEN-006", "CB-TEN-007",
    "CB-WSK-001", "CB-WSK-002", "CB-WSK-004", "CB-WSK-005", "CB-WSK-007", "CB-WSK-008",
)  # fmt: skip
"""The requirements on relays that traffic alone can show, to be satisfied or broken."""

_ALWAYS: Final = ("CB-MSG-001", "CB-MSG-002", "CB-MSG-003", "CB-MSG-004", "CB-CMP-001")
_BY_TYPE: Final = {
    "hello_response": ("CB-HEL-002", "CB-HEL-003", "CB-HEL-004"),
    "auth_response": ("CB-AUT-002", "CB-AUT-003", "CB-AUT-004"),
    "tunnel_response": ("CB-TUN-002",),
    "error": ("CB-ERR-001", "CB-ERR-002", "CB-ERR-003", "CB-ERR-004"),
}
"""The requirements that a message of a type satisfies if it breaks none."""


@dataclass(slots=True)
class _Knowledge:
    """What an earlier part of a connection showed. `served` are types of requests that the relay accepted anywhere.

    `refused`: an auth was refused by an error. `unclear`: another one was neither accepted nor refused in due form.
    """

    served: set[str]
    tenancy: bool = False
    greeted: bool = False
    said_hello: bool = False
    token: TokenFacts | None = None
    authenticated: bool = False
    refused: bool = False
    unclear: bool = False


@dataclass(slots=True)
class RelayJudge:
    """Collects the findings on the relay, each way to break a requirement once."""

    header: TapHeader
    findings: list[Finding] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def judge(self, connections: Sequence[TappedConnection]) -> list[Finding]:
        """Return the findings."""
        served = {asked.type for each in connections for asked in each.exchanges if _is_served(asked)}
        for connection in connections:
            self._below_messages(connection)
            self._connection(connection, _Knowledge(served))
        answered = [message.at for each in connections for row, message in each.messages if row.side is Side.RELAY]
        for connection in connections:
            self._silence(connection, answered)
        return self.findings

    # ------------------------------------------------------------------ findings

    def _passed(self, *requirements: str, case: str) -> None:
        for requirement in requirements:
            if (requirement, "") not in self._known:
                self._known.add((requirement, ""))
                self.findings.append(Finding(requirement, Outcome.PASSED, case))

    def _broken(self, breach: Breach, connection: TappedConnection, asked: Asked | None) -> None:
        if (breach.requirement, breach.seen) in self._known:
            return
        self._known.add((breach.requirement, breach.seen))
        outcome = Outcome.FAILED if find(breach.requirement).level is Level.MUST else Outcome.WARNED
        self.findings.append(
            Finding(
                breach.requirement,
                outcome,
                f"connection {connection.number}",
                expected=breach.expected,
                seen=breach.seen,
                exchange=_shown(connection, asked),
            )
        )

    # ------------------------------------------------------------------ TLS and WebSocket

    def _below_messages(self, connection: TappedConnection) -> None:
        case = f"connection {connection.number}"
        if Side.RELAY in connection.secured:
            self._passed("CB-TLS-001", case=case)
        failed = connection.not_secured.get(Side.RELAY)
        if failed is not None and not failed.untrusted and (failed.plain or failed.alert or "version" in failed.reason):
            seen = f"plain text: {failed.plain}" if failed.plain else failed.alert or failed.reason
            self._broken(Breach("CB-TLS-001", "a TLS 1.3 handshake", quoted(seen)), connection, None)
        for breach in _of_websocket(connection):
            self._broken(breach, connection, None)
        head = connection.heads.get(Side.RELAY)
        if head is not None and " 101" in head.line:
            self._passed("CB-WSK-001", "CB-CMP-003", case=case)
        if connection.frames[Side.RELAY]:
            self._passed("CB-WSK-002", "CB-WSK-005", case=case)

    # ------------------------------------------------------------------ messages

    def _connection(self, connection: TappedConnection, knowledge: _Knowledge) -> None:
        own: list[tuple[Breach, Asked]] = []
        surplus = False
        for asked in connection.exchanges:
            broken = self._invariants(connection, asked, knowledge)
            surplus = surplus or "CB-MSG-004" in broken
            answer = _answer(asked)
            facts = asked.facts
            skipped = (
                asked.doubtful or facts.large or facts.repeated or (asked.request is not None and asked.request.cut)
            )
            if asked.request is not None and answer is not None and not skipped:
                breach, shown = self._expectation(asked, asked.request, answer, knowledge)
                if breach is None and shown:
                    self._passed(shown, case=f"connection {connection.number}")
                elif breach is not None and not broken:
                    own.append((breach, asked))
            _learn(asked, answer, knowledge)
        if surplus:
            return  # a second answer may have been taken for that to the next request
        for breach, asked in own:
            self._broken(breach, connection, asked)
        for asked, passed in connection.swapped:
            if any(_is_served(each) for each in passed):
                expected = "answers in the order of the requests"
                self._broken(Breach("CB-MSG-011", expected, f"{asked.type} answered first"), connection, asked)

    def _invariants(self, connection: TappedConnection, asked: Asked, knowledge: _Knowledge) -> set[str]:
        """Check the invariants of one exchange; return the requirements that it breaks."""
        auth = asked.facts.auth
        before = knowledge.token.tenant if knowledge.token is not None and knowledge.authenticated else None
        tenant = (auth.tenant if auth is not None else before) or ""
        broken = set[str]()
        if not any(message.cut for message in asked.answers):
            for breach in check(asked.exchange(tenant, connection.end_by(Side.RELAY))):
                if breach.requirement == "CB-MSG-004" and asked.unfinished:
                    continue
                broken.add(breach.requirement)
                self._broken(breach, connection, asked)
        if asked.answers:
            shown = (id_ for each in asked.answers for id_ in _BY_TYPE.get(each.type, ()))
            self._passed(*_ALWAYS, *shown, case=f"connection {connection.number}")
        return broken

    def _expectation(
        self, asked: Asked, request: Message, answer: Message, knowledge: _Knowledge
    ) -> tuple[Breach | None, str]:
        """Return the breach of a request's own requirement, and the requirement that the exchange is about ("")."""
        if request.decoded.fault:
            return _of_unreadable(asked, request, answer)
        found = parse(request.value, Role.CLIENT)
        if isinstance(found, Violation):
            return _of_invalid(found, request, answer, knowledge)
        if (order := self._out_of_order(asked, request, answer, knowledge)) is not None:
            return order
        return _of_valid(asked, request, answer, knowledge)

    def _out_of_order(
        self, asked: Asked, request: Message, answer: Message, knowledge: _Knowledge
    ) -> tuple[Breach | None, str] | None:
        """Judge a valid message that the relay must refuse for what was before it, or return None."""
        auth = asked.facts.auth
        if request.type == "auth" and auth is not None and knowledge.greeted and not knowledge.authenticated:
            requirement = self._bad_token(auth, request.at, knowledge)
            codes: tuple[str, ...] = _INVALID
            if requirement == "CB-TEN-001":
                codes = (*_INVALID, "tenant_not_found")
            if requirement:
                return _refusal(requirement, "an invalid token", answer, codes, knowledge, "auth")
        if request.type == "tunnel_info" and not knowledge.authenticated:
            if knowledge.unclear:
                return None, ""
            if not is_success(answer):
                wrong = _refusal("CB-TUN-004", "a tunnel_info before auth", answer, _INVALID, knowledge)
                return wrong if not knowledge.refused else (None, "")
            requirement = "CB-AUT-016" if knowledge.refused else "CB-TUN-003"
            return _accepted(requirement, "a tunnel_info without an accepted auth", answer), requirement
        if not knowledge.said_hello and request.type in ("auth", "heartbeat"):
            return _accepted("CB-HEL-007", f"{named(request.type)} before hello", answer), "CB-HEL-007"
        if request.type == "tunnel_info" and knowledge.tenancy and knowledge.token is not None:
            own, sent = knowledge.token.tenant, request.member("tenant_id")
            if own is not None and sent != own:
                if is_success(answer):
                    return _accepted("CB-TEN-006", "a tunnel_info for another tenant", answer), "CB-TEN-006"
                return _refusal("CB-TEN-007", "another tenant's tenant_id", answer, ("tenant_not_found",), knowledge)
        return None

    def _bad_token(self, token: TokenFacts, at: float, knowledge: _Knowledge) -> str:
        """Return the requirement by which a token must be refused, as far as the token itself says it."""
        now = self.header.epoch + at
        if token.form != "jwt":
            return "CB-AUT-013" if token.form == "empty" else "CB-AUT-012"
        if token.algorithm.lower() == "none":
            return "CB-AUT-010"
        if token.expiry is not None and token.expiry <= now - _LEEWAY:
            return "CB-AUT-005"
        if token.begin is not None and token.begin >= now + _LEEWAY:
            return "CB-AUT-006"
        return "CB-TEN-001" if knowledge.tenancy and not token.tenant else ""

    # ------------------------------------------------------------------ silence

    def _silence(self, connection: TappedConnection, answered: Sequence[float]) -> None:
        """Judge requests without an answer: others were answered after so long a time that it is no delay."""
        for asked in connection.unanswered[:_MOST_UNANSWERED]:
            request = asked.request
            if request is None or asked.facts.large:
                continue
            later = connection.exchanges[connection.exchanges.index(asked) + 1 :]
            if any(each.doubtful for each in later):
                continue  # one of their answers may be this request's
            since = request.at + self.header.patience
            overtaken = sum(bool(each.request is not None and each.answers) for each in later) >= 2
            waited = connection.last >= since and any(at >= since for at in answered)
            requirement, wanted = _owed(request, _state_at(connection, asked), connection.transport)
            if not requirement or not (overtaken or waited):
                continue
            seen = "no answer, although later requests were answered"
            if not overtaken:
                seen = f"no answer within {self.header.patience:g} s, while other connections were answered"
            self._broken(Breach(requirement, wanted, seen), connection, asked)


def _owed(request: Message, state: _Knowledge, transport: str) -> tuple[str, str]:
    """Return the requirement by which a request must be answered, and the answers; "" if none is owed for sure."""
    if request.decoded.fault:
        # In a stream, the relay may wait for more of it.
        return ("CB-MSG-007", "an error or a close") if transport == "websocket" else ("", "")
    found = parse(request.value, Role.CLIENT)
    if not state.said_hello and request.type != "hello":
        return "CB-HEL-007", "an error or a close"
    if state.unclear or (request.type not in ("hello", "auth") and not state.authenticated):
        return "", ""
    if isinstance(found, Violation):
        is_open = found.requirement == "CB-MSG-005" or request.type.lower() in SUCCESS_TYPES
        owed = not is_open or request.type in SUCCESS_TYPES
        return (found.requirement, f"an error with code {found.code}") if owed else ("", "")
    again = (request.type == "hello" and state.said_hello) or (request.type == "auth" and state.authenticated)
    if again or request.type not in OWN_REQUIREMENT:
        return "", ""
    own = state.token.tenant if state.token is not None else None
    if request.type == "tunnel_info" and state.tenancy and own is not None and request.member("tenant_id") != own:
        return "CB-TEN-007", "an error with code tenant_not_found"
    return OWN_REQUIREMENT[request.type], f"{named(SUCCESS_TYPES[request.type])}, or an error"


def _shown(connection: TappedConnection, asked: Asked | None) -> str:
    if asked is None or not (asked.request or asked.answers):
        return render_connection(connection.records(), connection.number)
    return render(connection.records(), [asked.exchange("", None)])


def _answer(asked: Asked) -> Message | None:
    """Return the answer that counts, if it can be read and is of a known type."""
    answer = asked.exchange("", None).answer
    if answer is None or answer.decoded.requirement or answer.type not in _ANSWERS:
        return None
    return answer


def _is_served(asked: Asked) -> bool:
    answer = _answer(asked)
    return answer is not None and is_success(answer) and answer.type == SUCCESS_TYPES.get(asked.type)


def _learn(asked: Asked, answer: Message | None, knowledge: _Knowledge) -> None:
    """Take note of the state of a connection after an exchange."""
    served = _is_served(asked)
    knowledge.said_hello = knowledge.said_hello or asked.type == "hello"
    if asked.type == "hello" and served and answer is not None:
        features = answer.member("features")
        knowledge.greeted = True
        knowledge.tenancy = isinstance(features, list) and "multi_tenancy" in features
    elif asked.type == "auth" and served and not knowledge.authenticated:
        knowledge.authenticated, knowledge.token = True, asked.facts.auth
    elif asked.type == "auth" and not served:
        is_refusal = answer is not None and answer.type == "error" and not asked.doubtful
        knowledge.refused, knowledge.unclear = is_refusal, knowledge.unclear or not is_refusal


def _state_at(connection: TappedConnection, until: Asked) -> _Knowledge:
    knowledge = _Knowledge(set())
    for asked in connection.exchanges:
        if asked is until:
            break
        _learn(asked, _answer(asked), knowledge)
    return knowledge


# ---------------------------------------------------------------------- judgements of one exchange


def _accepted(requirement: str, what: str, answer: Message) -> Breach | None:
    """Return the breach if a request that must not be served was."""
    if not is_success(answer):
        return None
    return Breach(requirement, f"a refusal of {what}", describe(answer))


def _refusal(
    requirement: str, what: str, answer: Message, codes: Sequence[str], knowledge: _Knowledge, control: str = ""
) -> tuple[Breach | None, str]:
    """Judge a refusal by its code; without a control (a type of request that was served), it shows nothing."""
    if is_success(answer):
        return _accepted(requirement, what, answer), requirement
    code = answer.member("code")
    if control and control not in knowledge.served:
        return None, ""
    if answer.type != "error":
        refused_by_status = bool(codes) and answer.type == SUCCESS_TYPES.get(control)
        expected = f"an error with code {' or '.join(codes)} for {what}"
        return (Breach(requirement, expected, describe(answer)), requirement) if refused_by_status else (None, "")
    if code in codes or not codes:
        return None, requirement
    if code in _EXCUSES or not _is_listed(code):
        return None, ""
    return Breach(requirement, f"an error with code {' or '.join(codes)} for {what}", describe(answer)), requirement


def _is_listed(code: object) -> bool:
    return code in ABOUT_A_REQUEST or code in _EXCUSES or code == "tenant_not_found"


def _of_unreadable(asked: Asked, request: Message, answer: Message) -> tuple[Breach | None, str]:
    """Judge the answer to input that is no JSON, no UTF-8, or compressed."""
    if not asked.facts.no_message or request.value is not None:
        return None, ""
    by = {"CB-CMP-001": "CB-CMP-002", "CB-MSG-001": "CB-MSG-006"}
    requirement = by.get(request.decoded.requirement, "CB-MSG-005")
    return _accepted(requirement, "input that is no message", answer), requirement


def _of_invalid(
    found: Violation, request: Message, answer: Message, knowledge: _Knowledge
) -> tuple[Breach | None, str]:
    """Judge the answer to an invalid message."""
    requirement = found.requirement
    if requirement == "CB-MSG-005" or (request.type.lower() in SUCCESS_TYPES and request.type not in SUCCESS_TYPES):
        return None, ""  # open points: arrays, and a type in capital letters
    if requirement == "CB-TEN-005" and not knowledge.tenancy:
        return None, ""
    early = not knowledge.greeted if request.type != "hello" else False
    unknown = request.type == "tunnel_info" and not knowledge.authenticated
    codes = [str(found.code)]
    if requirement in ("CB-HEL-005", "CB-HEL-006") or early or unknown:
        codes = []
    elif requirement == "CB-TEN-005":
        codes.append("tenant_not_found")
    control = request.type if request.type in SUCCESS_TYPES else "heartbeat"
    if requirement.startswith("CB-UNK") and not knowledge.authenticated:
        codes = []
    return _refusal(requirement, f"an invalid message ({found.text})", answer, codes, knowledge, control)


def _of_valid(asked: Asked, request: Message, answer: Message, knowledge: _Knowledge) -> tuple[Breach | None, str]:
    """Judge the answer to a valid message in its order."""
    requirement, wanted = OWN_REQUIREMENT[request.type], SUCCESS_TYPES[request.type]
    again = (request.type == "hello" and knowledge.greeted) or (request.type == "auth" and knowledge.authenticated)
    if again or (request.type == "heartbeat" and not knowledge.authenticated):
        return None, ""
    if answer.type == wanted and is_success(answer):
        features = request.member("features")
        few = request.type == "hello" and isinstance(features, list) and len(features) < _FEATURES
        return None, "CB-HEL-008" if few else requirement
    expected = f'{named(wanted)} with status "ok"' if request.type in ("auth", "tunnel_info") else named(wanted)
    if answer.type == "error":
        return _of_refused(request, answer, requirement, expected), ""
    if answer.type == wanted and request.type == "auth" and not _grants(answer):
        return None, ""  # by which requirement a status refuses a token depends on the token
    return Breach(requirement, expected, describe(answer)), requirement


def _of_refused(request: Message, answer: Message, requirement: str, expected: str) -> Breach | None:
    """Return the breach if no state of a relay excuses the error."""
    code = answer.member("code")
    unexcused: Callable[[str], tuple[str, ...]] = {
        "hello": ABOUT_A_REQUEST,
        "auth": ("invalid_tunnel_info", "unknown_message_type"),
        "tunnel_info": ("unknown_message_type",),
        "heartbeat": ("invalid_tunnel_info", "unknown_message_type"),
    }.__getitem__
    if code not in unexcused(request.type):
        return None
    features = request.member("features")
    if request.type == "hello" and isinstance(features, list) and len(features) < _FEATURES:
        requirement = "CB-HEL-008"
    return Breach(requirement, expected, describe(answer))


def _grants(answer: Message) -> bool:
    """Whether an auth_response with another status than "ok" grants an identity all the same."""
    status = answer.member("status")
    told = isinstance(status, str) and status.strip().lower() in _REFUSALS
    return not told and bool(answer.member("client_id")) and bool(answer.member("tenant_id"))


# ---------------------------------------------------------------------- WebSocket


def _of_websocket(connection: TappedConnection) -> Iterator[Breach]:
    asked, head = connection.heads.get(Side.CLIENT), connection.heads.get(Side.RELAY)
    if asked is not None and head is not None and " 101" in head.line:
        key = asked.headers.get("sec-websocket-key", "")
        if head.headers.get("sec-websocket-accept") != accept_value(key):
            yield Breach("CB-WSK-001", "the accept value that belongs to the key", "another value, or none")
        if "permessage-deflate" in head.headers.get("sec-websocket-extensions", ""):
            yield Breach("CB-CMP-003", "no compression", "permessage-deflate accepted")
            return  # the frames are compressed
    frames = connection.frames[Side.RELAY]
    if any(frame.mask for frame in frames):
        yield Breach("CB-WSK-002", "frames that are not masked", "a masked frame")
    if any(frame.padded for frame in frames):
        yield Breach("CB-WSK-002", "a frame whose length is encoded in as few bytes as possible", "one that takes more")
    if any(frame.reserved or frame.opcode not in (0, 1, 2, 8, 9, 10) for frame in frames):
        yield Breach("CB-WSK-002", "frames without reserved bits and opcodes", "a reserved bit or opcode")
    yield from _of_bad_frames(connection)
    yield from _of_pings(connection)


def _of_pings(connection: TappedConnection) -> Iterator[Breach]:
    """Check the pongs; a ping shortly before the end may have none."""
    pings = [frame for frame in connection.frames[Side.CLIENT] if frame.opcode == 9]
    pongs = {frame.digest for frame in connection.frames[Side.RELAY] if frame.opcode == 10}
    answered = [message.at for row, message in connection.messages if row.side is Side.RELAY]
    for ping in pings[:-1]:
        if ping.digest not in pongs and sum(at > ping.at for at in answered) >= 2:
            yield Breach("CB-WSK-004", "a pong with the ping's payload", "none")
            return


def _of_bad_frames(connection: TappedConnection) -> Iterator[Breach]:
    """Check that no message is served after a frame that RFC 6455 forbids."""
    frames = connection.frames[Side.CLIENT]
    bad = next((frame for frame in frames if not frame.mask or frame.reserved), None)
    if bad is None:
        return
    later = [each for each in connection.exchanges if each.request is not None and each.request.at >= bad.at]
    if any(_is_served(each) for each in later):
        requirement = "CB-WSK-008" if bad.mask else "CB-WSK-007"
        yield Breach(requirement, "the end of the connection after a forbidden frame", "an answer")
