"""Judgements: pure functions of an exchange. Each returns where the exchange is as asked, and raises otherwise.

`Broken` says that the relay is at fault, `Inconclusive` that nothing can be said: the answer is so broken that another
requirement is to blame (the invariants name it), or neither this connection nor a new one was answered in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom
from cbspec_conformance.judging.expectation import Expectation, Kind
from cbspec_conformance.record.exchange import SUCCESS, Exchange, Silence
from cbspec_conformance.record.transcript import Message

FULL = frozenset({ErrorCode.CONNECTION_LIMIT_REACHED, ErrorCode.TENANT_LIMIT_EXCEEDED, ErrorCode.BUFFER_POOL_EXHAUSTED})
"""Codes by which a relay says that what others hold must come back first."""

OUT_OF_ROOM = FULL | {ErrorCode.RATE_LIMIT_EXCEEDED, ErrorCode.SERVER_UNAVAILABLE}
"""Codes by which a relay says that it could serve the request at another time: no answer to what a case asks."""


def accepted(exchange: Exchange, *against: ErrorCode | str) -> Message:
    """Return the success answer that the request's type asks for (with status "ok", where it has one).

    A refusal for want of room says nothing about the case, so that it is inconclusive, unless the code is one of
    `against`: then the case is about just that, and the refusal counts against the relay.
    """
    if (code := error_code(exchange)) in OUT_OF_ROOM and code not in against:
        raise no_room(code, " to a valid request")
    asked = exchange.request.type if exchange.request else ""
    wanted = SUCCESS[asked]
    expected = f'{named(wanted)} with status "ok"' if wanted in _WITH_STATUS else named(wanted)
    expectation = Expectation(Kind.ACCEPTED, tuple(against))
    try:
        answer = _answer(exchange, expected, expectation)
    except Broken as broken:
        broken.unserved = asked
        raise
    if answer.type != wanted or (wanted in _WITH_STATUS and answer.member("status") != "ok"):
        raise Broken(expected, describe(answer), exchange, unserved=asked, expectation=expectation)
    return answer


def refused_with(exchange: Exchange, *codes: ErrorCode | str) -> Message:
    """Return the error that answers the request; its code must be one of `codes`."""
    expected, expectation = f"an error with code {_either(codes)}", Expectation(Kind.REFUSED_WITH, tuple(codes))
    answer = _answer(exchange, expected, expectation)
    legible(answer)
    if answer.type != "error" or answer.member("code") not in codes:
        raise Broken(expected, describe(answer), exchange, expectation=expectation)
    return answer


def legible(answer: Message) -> None:
    """See that an answer can be judged. Raises Inconclusive where another requirement is to blame for what it is."""
    _readable(answer)
    if answer.type == "error" and answer.member("code") not in _CODES:
        raise Inconclusive("the error has no code, or none of the eleven, to judge by (see CB-ERR-001)")


def refused(exchange: Exchange) -> None:
    """See that the request draws an error, of whatever code, or the end of the connection."""
    expected, expectation = "an error or a close", Expectation(Kind.REFUSED)
    if not exchange.answers and exchange.ended is not None:
        return
    answer = _answer(exchange, expected, expectation)
    if answer.type != "error":
        raise Broken(expected, describe(answer), exchange, expectation=expectation)


def not_accepted(exchange: Exchange, expected: str = "no success answer") -> None:
    """See that the request draws no success answer of its own type; anything else will do, silence too."""
    asked = exchange.request.type if exchange.request else ""
    for answer in exchange.answers:
        if is_success(answer) and answer.type == SUCCESS.get(asked, answer.type):
            raise Broken(expected, describe(answer), exchange, expectation=Expectation(Kind.NOT_ACCEPTED))


def noticed(exchange: Exchange) -> None:
    """See that the request draws any answer, or the end of the connection."""
    if not exchange.answers and exchange.ended is None:
        raise Broken("an error or a close", silence(exchange), exchange, expectation=Expectation(Kind.NOTICED))


def all_answered(exchange: Exchange, types: Sequence[str]) -> None:
    """See that requests which arrived together drew an answer each: as many of each of `types` as it names."""
    wanted = Counter(types)
    if wanted - Counter(answer.type for answer in exchange.answers):
        seen = ", ".join(describe(answer) for answer in exchange.answers) or silence(exchange)
        expected = ", ".join(f"{count} x {name}" for name, count in wanted.items())
        expectation = Expectation(Kind.ALL_ANSWERED, tuple(types))
        raise Broken(f"{expected} to requests that arrive together", seen, exchange, expectation=expectation)


def with_room(exchange: Exchange) -> Exchange:
    """Return what several requests drew, where the relay had room for them. Raises Inconclusive where it hadn't."""
    if (code := error_code(exchange)) in OUT_OF_ROOM:
        raise no_room(code)
    return exchange


def no_room(code: str, to: str = "", see: str = " (see the case of that code)") -> Inconclusive:
    """Return what a refusal for want of room comes to: the case may be tried again where others hold that room."""
    return (NoRoom if code in FULL else Inconclusive)(f"the relay answers {code}{to}: it has no room{see}")


def is_success(message: Message) -> bool:
    """Whether a message says that a request was served."""
    if message.type in _WITH_STATUS:
        return bool(message.member("status") == "ok")
    return message.type in SUCCESS.values()


def served(exchange: Exchange) -> bool:
    """Whether any answer says that the request was served."""
    return any(is_success(answer) for answer in exchange.answers)


def error_code(exchange: Exchange) -> str:
    """Return the code of the error among the answers, or ""."""
    for answer in exchange.answers:
        code = answer.member("code") if answer.type == "error" else None
        if isinstance(code, str):
            return code
    return ""


def describe(message: Message) -> str:
    """Return in a few words what a message is; never a token."""
    if message.decoded.fault:
        return f"a message of {len(message.text)} bytes: {message.decoded.fault}"
    if message.type == "error":
        return f"an error with code {_short(message.member('code'))}"
    if message.type in _WITH_STATUS:
        return f"{named(message.type)} with status {_short(message.member('status'))}"
    return f"a message of type {_short(message.member('type'))}"


def named(kind: str) -> str:
    """Return a message's type with its article."""
    return f"{'an' if kind.startswith('a') else 'a'} {kind}"


def silence(exchange: Exchange) -> str:
    """Return in a few words what is known where no answer came."""
    if exchange.ended is not None:
        detail = f" ({exchange.ended.detail})" if exchange.ended.detail else ""
        return f"no answer; the connection was {exchange.ended.how}{detail}"
    return f"no answer within {exchange.waited:.1f} s; {exchange.silence or 'nothing more is known'}"


_WITH_STATUS = ("auth_response", "tunnel_response")


def _answer(exchange: Exchange, expected: str, expectation: Expectation) -> Message:
    answer = exchange.answer
    if answer is None:
        if exchange.silence is Silence.DEAF and not exchange.relay_alive:
            raise Inconclusive(f"{silence(exchange)}, and no new connection was answered either")
        raise Broken(expected, silence(exchange), exchange, expectation=expectation)
    _readable(answer)
    return answer


def _readable(answer: Message) -> None:
    if answer.decoded.requirement:
        raise Inconclusive(f"the answer can't be read (see {answer.decoded.requirement}): {answer.decoded.fault}")
    if answer.type not in _KNOWN:
        raise Inconclusive(f"the answer is of no known type (see CB-MSG-003): {describe(answer)}")


_KNOWN = (*SUCCESS.values(), "error")
_CODES = tuple(str(code) for code in ErrorCode)


def _either(codes: Iterable[str]) -> str:
    return " or ".join(str(code) for code in codes)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
