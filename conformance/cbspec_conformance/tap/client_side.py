"""The verdicts on the client that traffic alone can show: rows to findings. Pure.

The rules for messages are those of the judge for clients, on observations made from the rows. A reaction to a refusal
or to a broken answer counts if it shows on the same connection, and a retry on another connection only from the third
attempt on: the tap can't tell a client that tries again from one that was started again.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cbspec_schemas
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.handshake import accept_value
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec.redact import MASK
from cbspec.tokens.jws import CompactJws, dump
from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.excerpt import excerpt
from cbspec_conformance.client.frames import ClientFrames, Frame
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.incoming import ClientMessage, Incoming
from cbspec_conformance.client.observed import ClientConnection, Handshake, Observation
from cbspec_conformance.client.rules.always import judge_always
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.refused import NEVER_AGAIN
from cbspec_conformance.client.rules.retries import has_no_end, not_growing
from cbspec_conformance.client.situations import Kind, Situation
from cbspec_conformance.judging.judge import is_success
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.tap.pairing import Asked, TappedConnection
from cbspec_conformance.tap.rows import Side, TapMessage

OBSERVABLE: Final = (
    "CC-TLS-001", "CC-TLS-003", "CC-HEL-001", "CC-HEL-002", "CC-AUT-001", "CC-AUT-002", "CC-AUT-003", "CC-TUN-001",
    "CC-TUN-002", "CC-HBT-002", "CC-MSG-001", "CC-MSG-002", "CC-MSG-003", "CC-MSG-004", "CC-REF-001", "CC-REF-002",
    "CC-REF-007", "CC-REF-008", "CC-RTY-001", "CC-RTY-002", "CC-RTY-003", "CC-RTY-004", "CC-RTY-005", "CC-RTY-006",
    "CC-RTY-007", "CC-BRK-001", "CC-BRK-002", "CC-BRK-004", "CC-BRK-005", "CC-BRK-006", "CC-BRK-007", "CC-REC-002",
    "CC-TOK-001", "CC-WSK-001", "CC-WSK-002", "CC-WSK-003", "CC-WSK-004", "CC-WSK-005", "CC-WSK-007", "CC-WSK-008",
)  # fmt: skip
"""The requirements on clients that traffic alone can show, to be satisfied or broken."""

_OPCODES: Final = (0, 1, 2, 8, 9, 10)
_STORM: Final = 10  # heartbeats per second that are no storm
_PROMPT: Final = 1.0  # seconds: a request that is sent later than this after another is no pipelined one
_AGAIN: Final = 60.0  # seconds: a later attempt is taken for another start of the client
_ATTEMPTS: Final = 3
_NEXT: Final = {"hello": ("auth", "tunnel_info", "heartbeat"), "auth": ("tunnel_info", "heartbeat")}
"""The requests that only make sense if the one before them succeeded."""


@dataclass(slots=True)
class ClientJudge:
    """Collects the findings on the clients."""

    findings: list[Finding] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def judge(self, connections: Sequence[TappedConnection]) -> list[Finding]:
        """Return the findings, each way to break a requirement once."""
        for connection in connections:
            case = _case(connection, [connection])
            token = _stand_in(connection)
            judge_always(case, token)
            _handshake(case, connection)
            _order(case, connection)
            _reactions(case, connection)
            _heartbeats(case, connection)
            _websocket(case, connection)
            self._take(case, _unknowable(connection))
        by_client = defaultdict[str, list[TappedConnection]](list)
        for connection in connections:
            by_client[connection.client].append(connection)
        for theirs in by_client.values():
            case = _case(theirs[0], theirs)
            _retries(case, theirs)
            _reconnections(case, theirs)
            self._take(case, ())
        return self.findings

    def _take(self, case: SituationCase, left_out: Sequence[str]) -> None:
        """Take the findings of a case that the tap can know, with what was seen."""
        shown = ""
        for finding in case.findings:
            if finding.requirement not in OBSERVABLE or finding.requirement in left_out:
                continue
            passed = finding.outcome is Outcome.PASSED
            key = finding.requirement, "" if passed else finding.seen
            if key in self._known:
                continue
            self._known.add(key)
            shown = shown or excerpt(case.seen)
            self.findings.append(finding if passed else replace(finding, exchange=shown, change=""))


def _case(connection: TappedConnection, connections: Sequence[TappedConnection]) -> SituationCase:
    numbers = f"connection {connection.number}" if len(connections) == 1 else f"the connections of {connection.client}"
    situation = Situation(numbers, "traffic between a client and a relay", Kind.OBSERVED, "")
    seen = Observation([_observed(each) for each in connections])
    return SituationCase(situation, ClientProfile(), Habits(), seen, connection.transport)


def _stand_in(connection: TappedConnection) -> str:
    """Return a token without a signature that has the claims of the client's own, which no row holds."""
    tenant = next((token.tenant for token in connection.tokens if token.tenant is not None), "")
    return str(CompactJws(dump({"alg": "none"}), dump({"tenant_id": tenant}), b""))


def _unknowable(connection: TappedConnection) -> tuple[str, ...]:
    """Return the requirements that a connection can't show: the tunnels' tenant without one token that names one."""
    tenants = {token.tenant for token in connection.tokens}
    return () if len(tenants) == 1 and None not in tenants else ("CC-TUN-002",)


# ---------------------------------------------------------------------- from rows to an observation


def _observed(connection: TappedConnection) -> ClientConnection:
    seen = ClientConnection(connection.number, connection.opened.at)
    secured, failed = connection.secured.get(Side.CLIENT), connection.not_secured.get(Side.CLIENT)
    if secured is not None:
        seen.handshake = Handshake(True, secured.version, secured.cipher, secured.server_name, secured.alpn)
    elif failed is not None:
        alert, plain = failed.alert, failed.plain.encode(errors="replace")
        seen.handshake = Handshake(failure=failed.reason, alert_received=alert, plain=plain)
    seen.incoming = _incoming(connection, Side.CLIENT)
    seen.outgoing = _incoming(connection, Side.RELAY)
    first = next(iter(connection.ended), None)
    if first is not None:
        seen.ended, seen.by, seen.how = first.at, str(first.side), str(first.how)
    return seen


def _incoming(connection: TappedConnection, side: Side) -> Incoming:
    # The members of a message that was cut aren't known.
    messages = [_message(row, message) for row, message in connection.messages if row.side is side and not row.cut]
    half = connection.halves.get(side)
    incoming = Incoming(messages, _rest=half.text.encode(errors="replace") if half is not None else b"")
    head = connection.heads.get(side)
    if head is not None:
        token = _stand_in(connection)
        headers = {name: value.replace(MASK, token) for name, value in head.headers.items()}
        frames = [
            Frame(
                row.at,
                row.opcode,
                row.final,
                row.reserved,
                bytes.fromhex(row.mask) or None,
                row.digest.encode(),
                row.padded,
            )
            for row in connection.frames[side]
        ]
        incoming.frames = ClientFrames(head.line.replace(MASK, token), headers, frames)
    return incoming


def _message(row: TapMessage, message: Message) -> ClientMessage:
    body = message.value if isinstance(message.value, dict) else {}
    requirement = ("CC-MSG-002" if message.value is not None else "CC-MSG-001") if row.fault else ""
    facts = row.facts
    return ClientMessage(row.at, message.text, body, requirement, row.fault, row.binary, facts.twice, facts.token)


# ---------------------------------------------------------------------- rules


def _handshake(case: SituationCase, connection: TappedConnection) -> None:
    secured, failed = connection.secured.get(Side.CLIENT), connection.not_secured.get(Side.CLIENT)
    if secured is not None and secured.version == "TLSv1.3":
        case.passed("CC-TLS-001")
        case.passed("CC-TLS-003")
    elif failed is not None and failed.offered and "TLSv1.3" not in failed.offered:
        case.broken("CC-TLS-001", "a TLS 1.3 handshake", f"it offers {', '.join(failed.offered)} only")


def _order(case: SituationCase, connection: TappedConnection) -> None:
    """Judge whether each request waits for the answer to the one before it."""
    pipelined = [asked for asked in connection.exchanges if asked.request is not None and _is_early(asked)]
    if pipelined:
        kinds = ", ".join(sorted({asked.type or "a message" for asked in pipelined}))
        case.broken("CC-MSG-003", "each request after the answer to the one before", f"{kinds} before it")
    elif sum(asked.request is not None for asked in connection.exchanges) > 1:
        case.passed("CC-MSG-003")


def _is_early(asked: Asked) -> bool:
    """Whether a request was sent while another had no answer yet, but for an answer that takes very long."""
    return any(
        asked.request is not None and before.request is not None and asked.request.at - before.request.at < _PROMPT
        for before in asked.early
        if before.answers or before.type != "heartbeat"
    )


def _reactions(case: SituationCase, connection: TappedConnection) -> None:
    """Judge whether the client goes on after an answer that is no success."""
    for asked in connection.exchanges:
        if asked.request is None or asked.type not in _NEXT or not asked.answers:
            continue
        answer = asked.exchange("", None).answer
        about = None if answer is None else _failure(asked, answer)
        if about is None or answer is None:
            continue
        requirement, what = about
        later = _next_request(connection, asked, answer)
        if later is not None:
            case.broken(
                requirement,
                f"no success after {what} in answer to {asked.type}",
                f"sends {later.type} {later.at - answer.at:.1f} s later",
            )
        else:
            case.passed(requirement)


def _next_request(connection: TappedConnection, asked: Asked, answer: Message) -> Message | None:
    """Return the next request after an answer that only makes sense after a success, if no other attempt is before."""
    for other in connection.exchanges[connection.exchanges.index(asked) + 1 :]:
        if other.request is None or other.request.at <= answer.at or asked in other.early:
            continue
        if other.type == asked.type:
            return None
        if other.type in _NEXT[asked.type]:
            return other.request
    return None


def _failure(asked: Asked, answer: Message) -> tuple[str, str] | None:
    """Return the requirement on the reaction to an answer, and the answer in words; None if it is a success."""
    if answer.decoded.requirement:
        broken = {"CB-MSG-001": "CC-BRK-001", "CB-MSG-002": "CC-BRK-002"}.get(answer.decoded.requirement)
        return (broken, f"an answer of which {answer.decoded.fault}") if broken and answer.value is None else None
    if answer.type == "error":
        code = answer.member("code")
        known = isinstance(code, str) and code in [str(each) for each in ErrorCode]
        by_step = {"hello": "CC-REF-001", "auth": "CC-REF-002"}
        return (by_step[asked.type] if known else "CC-REF-008"), f"the error {code!r:.40}"
    wanted = SUCCESS_TYPES[asked.type]
    if answer.type != wanted:
        return "CC-BRK-004", f"a message of type {answer.member('type')!r:.40}"
    body = answer.value if isinstance(answer.value, dict) else {}
    for name in cbspec_schemas.load(wanted)["required"]:
        if name not in body:
            return "CC-BRK-005", f"{wanted} without {name}"
    if any(True for _ in cbspec_schemas.violations("relay", answer.value)):
        return "CC-BRK-006", f"{wanted} with a member of the wrong type"
    if not is_success(answer):
        status = answer.member("status")
        return ("CC-REF-007" if status == "error" else "CC-BRK-007"), f"the status {status!r:.40}"
    auth = asked.facts.auth
    if auth is not None and auth.tenant is not None and answer.member("tenant_id") != auth.tenant:
        return "CC-AUT-003", "another tenant"
    return None


def _heartbeats(case: SituationCase, connection: TappedConnection) -> None:
    beats = [row.at for row, message in connection.messages if row.side is Side.CLIENT and message.type == "heartbeat"]
    if not beats:
        return
    most, place = 0, 0
    for number, at in enumerate(beats):
        while beats[place] <= at - 1.0:
            place += 1
        most = max(most, number - place + 1)
    if most > _STORM:
        case.broken("CC-HBT-002", f"at most {_STORM} heartbeats per second", f"{most} in a second")
    else:
        case.passed("CC-HBT-002")


# ---------------------------------------------------------------------- several attempts


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refused request: when it was sent and answered, on which connection, its code, and what makes it the same."""

    at: float
    connection: int
    code: str
    same: tuple[object, ...]


def _refusals(connections: Sequence[TappedConnection]) -> Iterator[_Refusal]:
    for connection in connections:
        for asked in connection.exchanges:
            answer = asked.exchange("", None).answer
            if asked.request is None or answer is None or answer.type != "error":
                continue
            code = answer.member("code")
            auth = asked.facts.auth
            same: tuple[object, ...] = (asked.type, auth.number if auth is not None else asked.request.text)
            yield _Refusal(asked.request.at, connection.number, str(code), same)


def _retries(case: SituationCase, connections: Sequence[TappedConnection]) -> None:
    by_request = defaultdict[tuple[object, ...], list[_Refusal]](list)
    for refusal in sorted(_refusals(connections), key=lambda each: each.at):
        by_request[refusal.code, *refusal.same].append(refusal)
    for (code, type_, *_), attempts in by_request.items():
        if type_ == "heartbeat":
            continue
        if requirement := NEVER_AGAIN.get(str(code)):
            if again := _again(attempts):
                case.broken(requirement, f"no second attempt after {code}", f"another {type_} {again}")
            else:
                case.passed(requirement)
        for series in _series([each.at for each in attempts]):
            if grows := not_growing(series):
                case.broken("CC-RTY-001", "growing delays between attempts", grows)
            elif len(series) > _ATTEMPTS:
                case.passed("CC-RTY-001")
            if endless := has_no_end(series):
                case.broken("CC-RTY-002", "an end of the attempts", endless)


def _again(attempts: Sequence[_Refusal]) -> str:
    """Return when the same request was tried again, in words, or ""."""
    for before, after in itertools.pairwise(attempts):
        if before.connection == after.connection:
            return f"{after.at - before.at:.1f} s later"
    for series in _series([each.at for each in attempts]):
        if len(series) >= _ATTEMPTS:
            return f"{series[1] - series[0]:.1f} s later, {len(series)} times in all"
    return ""


def _series(times: Sequence[float]) -> list[list[float]]:
    """Return the times of attempts that belong together."""
    found: list[list[float]] = []
    for at in times:
        if found and at - found[-1][-1] <= _AGAIN:
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _reconnections(case: SituationCase, connections: Sequence[TappedConnection]) -> None:
    """Judge the delays between connections that all fail because the relay is down."""
    failing: list[float] = []
    for connection in [*connections, None]:
        if connection is not None and connection.unreachable is not None:
            failing.append(connection.opened.at)
            continue
        for series in _series(failing):
            if what := not_growing(series):
                case.broken("CC-REC-002", "growing intervals, or an end", what)
            elif len(series) > _ATTEMPTS:
                case.passed("CC-REC-002")
        failing = []


# ---------------------------------------------------------------------- WebSocket


def _websocket(case: SituationCase, connection: TappedConnection) -> None:
    asked, head = connection.heads.get(Side.CLIENT), connection.heads.get(Side.RELAY)
    if asked is None or head is None:
        return
    spoken = [row for row, _ in connection.messages if row.side is Side.CLIENT]
    key = asked.headers.get("sec-websocket-key", "")
    accepted = " 101" in head.line and head.headers.get("sec-websocket-accept") == accept_value(key)
    if not accepted:
        _after_bad_upgrade(case, spoken, head.at)
    theirs, own = connection.frames[Side.RELAY], connection.frames[Side.CLIENT]
    pings = [frame for frame in theirs if frame.opcode == 9]
    pongs = {frame.digest for frame in own if frame.opcode == 10}
    missed = [ping for ping in pings if ping.digest not in pongs and sum(row.at > ping.at for row in spoken) >= 2]
    if missed:
        case.broken("CC-WSK-004", "a pong with the ping's payload", "none, although it sent other messages")
    elif any(ping.digest in pongs for ping in pings):
        case.passed("CC-WSK-004")
    if any(not frame.mask or frame.reserved or frame.opcode not in _OPCODES for frame in own):
        return  # the relay may close because of the client's frame
    closed = next((frame for frame in theirs if frame.opcode == 8), None)
    if closed is not None and any(frame.opcode == 8 for frame in own):
        case.passed("CC-WSK-008")
    elif closed is not None and any(row.side is Side.CLIENT and row.at > closed.at for row in connection.ended):
        case.broken("CC-WSK-008", "a close frame in answer to one", "none")


def _after_bad_upgrade(case: SituationCase, spoken: Sequence[TapMessage], at: float) -> None:
    if any(row.at > at for row in spoken):
        case.broken("CC-WSK-003", "no message without a 101 with the right accept value", "sends a message")
    else:
        case.passed("CC-WSK-003")
