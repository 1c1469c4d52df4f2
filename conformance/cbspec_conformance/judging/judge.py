"""Judgements: pure functions of an exchange. Each returns if the exchange is as expected, and raises otherwise.

`Broken` blames the relay. `Inconclusive` means that no judgement is possible: the answer breaks another requirement
(named by the invariants), or neither this connection nor a new one was answered in time. Every judgement is reported to
`Exchange.record`, so that a saved transcript can be judged again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import WITH_STATUS
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom
from cbspec_conformance.record.conclusions import Ending, Expectation, ExpectationKind, Silence
from cbspec_conformance.record.exchange import Exchange, matches
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.record.transcript import Message

FULL = frozenset({ErrorCode.CONNECTION_LIMIT_REACHED, ErrorCode.TENANT_LIMIT_EXCEEDED, ErrorCode.BUFFER_POOL_EXHAUSTED})
"""Codes of a full relay: room must be given back before it serves such a request again."""

OUT_OF_ROOM = FULL | {ErrorCode.RATE_LIMIT_EXCEEDED, ErrorCode.SERVER_UNAVAILABLE}
"""Codes of a relay that can't serve the request now: they say nothing about the case."""

_MEANINGS: Final[Mapping[str, str]] = {
    ErrorCode.RATE_LIMIT_EXCEEDED: "the suite was too fast for it",
    ErrorCode.SERVER_UNAVAILABLE: "it was not available",
}

NO_ERROR: Final = "no error message"
"""The kind of a refusal by the usual response, with another status."""

SUCCESSES: Final = frozenset(SUCCESS_TYPES.values())
"""The types of success answers."""

_KNOWN: Final = SUCCESSES | {"error"}


@contextmanager
def _judgement(exchange: Exchange, kind: ExpectationKind, values: Iterable[str] = ()) -> Iterator[Expectation]:
    expectation = Expectation(kind, tuple(str(value) for value in values))
    result = Ending.KIT_ERROR
    try:
        yield expectation
        result = Ending.PASSED
    except Broken:
        result = Ending.BROKEN
        raise
    except Inconclusive:
        result = Ending.INCONCLUSIVE
        raise
    finally:
        exchange.record(exchange.number, expectation, result)


def accepted(exchange: Exchange, *against: ErrorCode | str) -> Message:
    """Return the success answer that the request's type asks for (with status "ok", if it has a status).

    A refusal for lack of room is inconclusive, except with a code in `against`: the case is about that code then.
    """
    with _judgement(exchange, ExpectationKind.ACCEPTED, against) as expectation:
        asked = exchange.request.type if exchange.request else ""
        wanted = SUCCESS_TYPES[asked]
        if (code := error_code(exchange)) in OUT_OF_ROOM and code not in against:
            raise no_room(code, " to a valid request")
        expected = f'{named(wanted)} with status "ok"' if wanted in WITH_STATUS else named(wanted)
        try:
            answer = _answer(exchange, expected, expectation)
        except Broken as broken:
            broken.unserved = asked
            raise
        if answer.type != wanted or (wanted in WITH_STATUS and answer.member("status") != "ok"):
            raise Broken(expected, describe(answer), exchange, unserved=asked, expectation=expectation)
        return answer


def refused_with(exchange: Exchange, *codes: ErrorCode | str) -> Message:
    """Return the error that answers the request; its code must be one of `codes`."""
    with _judgement(exchange, ExpectationKind.REFUSED_WITH, codes) as expectation:
        expected = f"an error with code {' or '.join(expectation.values)}"
        answer = _answer(exchange, expected, expectation)
        legible(answer)
        if answer.type != "error" or answer.member("code") not in codes:
            kind = f"code {answer.member('code')}" if answer.type == "error" else NO_ERROR
            kinds = () if is_success(answer) else (kind,)
            raise Broken(expected, describe(answer), exchange, expectation=expectation, kinds=kinds)
        return answer


def legible(answer: Message) -> None:
    """Raise Inconclusive if an answer can't be judged because it breaks another requirement."""
    _readable(answer)
    if answer.type == "error" and answer.member("code") not in _CODES:
        raise Inconclusive(f"the code {quoted(answer.member('code'))} is none of the eleven (see CB-ERR-001)")


def refused(exchange: Exchange) -> None:
    """Check that the request draws an error with any code, or the end of the connection."""
    with _judgement(exchange, ExpectationKind.REFUSED) as expectation:
        expected = "an error or a close"
        if not exchange.answers and exchange.ended is not None:
            return
        answer = _answer(exchange, expected, expectation)
        if answer.type != "error":
            kinds = () if is_success(answer) else (NO_ERROR,)
            raise Broken(expected, describe(answer), exchange, expectation=expectation, kinds=kinds)


def not_accepted(exchange: Exchange, expected: str = "no success answer") -> None:
    """Check that the request draws no success answer of its own type."""
    with _judgement(exchange, ExpectationKind.NOT_ACCEPTED) as expectation:
        asked = exchange.request.type if exchange.request else ""
        for answer in exchange.answers:
            own = answer is exchange.answer or (exchange.request is not None and matches(exchange.request, answer))
            if own and is_success(answer) and answer.type == SUCCESS_TYPES.get(asked, answer.type):
                raise Broken(expected, describe(answer), exchange, expectation=expectation)


def noticed(exchange: Exchange) -> None:
    """Check that the request draws any answer, or the end of the connection."""
    with _judgement(exchange, ExpectationKind.NOTICED) as expectation:
        if not exchange.answers and exchange.ended is None:
            raise Broken("an error or a close", silence(exchange), exchange, expectation=expectation)


def all_answered(exchange: Exchange, types: Sequence[str]) -> None:
    """Check that requests sent together drew as many answers of each type as `types` names."""
    with _judgement(exchange, ExpectationKind.ALL_ANSWERED, types) as expectation:
        wanted = Counter(types)
        if wanted - Counter(answer.type for answer in exchange.answers):
            got = Counter(map(describe, exchange.answers))
            seen = ", ".join(f"{count} x {answer}" for answer, count in got.items()) or silence(exchange)
            expected = ", ".join(f"{count} x {named(name)}" for name, count in wanted.items())
            raise Broken(f"{expected} to requests that arrive together", seen, exchange, expectation=expectation)


_JUDGEMENTS: Final[Mapping[ExpectationKind, Callable[..., object]]] = {
    ExpectationKind.ACCEPTED: accepted,
    ExpectationKind.REFUSED_WITH: refused_with,
    ExpectationKind.REFUSED: refused,
    ExpectationKind.NOT_ACCEPTED: not_accepted,
    ExpectationKind.NOTICED: noticed,
    ExpectationKind.ALL_ANSWERED: lambda exchange, *types: all_answered(exchange, types),
    ExpectationKind.INVARIANT: lambda exchange: None,  # no expectation of a single exchange
}


def hold(expectation: Expectation, exchange: Exchange) -> None:
    """Compare an exchange with an expectation."""
    _JUDGEMENTS[expectation.kind](exchange, *expectation.values)


def with_room(exchange: Exchange) -> Exchange:
    """Return an exchange of several requests. Raises Inconclusive if the relay had no room for them."""
    if (code := next(error_codes(exchange.answers), "")) in OUT_OF_ROOM:
        raise no_room(code)
    return exchange


def no_room(code: str, to: str = "", see: str = " (see the case of that code)") -> Inconclusive:
    """Return the exception for a refusal for lack of room. NoRoom: the case may be tried again later."""
    means = f": {_MEANINGS.get(code, 'it has no room')}, or uses the code for something else{see}"
    return (NoRoom if code in FULL else Inconclusive)(f"the relay answers {code}{to}{means}")


def is_success(message: Message) -> bool:
    """Whether a message says that a request was served."""
    if message.type in WITH_STATUS:
        return bool(message.member("status") == "ok")
    return message.type in SUCCESSES


def served(exchange: Exchange) -> bool:
    """Whether the answer says that the request was served."""
    return exchange.answer is not None and is_success(exchange.answer)


def error_code(exchange: Exchange) -> str:
    """Return the code of the answer that counts if it is an error, or ""."""
    return next(error_codes(filter(None, (exchange.answer,))), "")


def error_codes(answers: Iterable[Message]) -> Iterator[str]:
    """Yield the codes of the errors among messages."""
    codes = (answer.member("code") for answer in answers if answer.type == "error")
    yield from (code for code in codes if isinstance(code, str))


def describe(message: Message) -> str:
    """Return a short description of a message, without tokens."""
    if message.decoded.fault:
        return f"a message of {len(message.text)} bytes: {message.decoded.fault}"
    if message.type == "error":
        return f"an error with code {quoted(message.member('code'))}"
    if message.type in WITH_STATUS:
        return f"{named(message.type)} with status {quoted(message.member('status'))}"
    if message.type in _KNOWN:
        return named(message.type)
    return f"a message of type {quoted(message.member('type'))}"


def named(kind: str) -> str:
    """Return a message's type with its article."""
    return f"{'an' if kind.startswith('a') else 'a'} {kind}"


def silence(exchange: Exchange) -> str:
    """Return a short description of a missing answer."""
    if exchange.ended is not None:
        detail = f" ({exchange.ended.detail})" if exchange.ended.detail else ""
        return f"no answer; the connection was {exchange.ended.how}{detail}"
    return f"no answer within {exchange.waited:.1f} s; {exchange.silence or 'nothing more is known'}"


def _answer(exchange: Exchange, expected: str, expectation: Expectation) -> Message:
    answer = exchange.answer
    if answer is None:
        if exchange.silence is Silence.UNRESPONSIVE and not exchange.relay_alive:
            raise Inconclusive(f"{silence(exchange)}, and no new connection was answered either")
        raise Broken(expected, silence(exchange), exchange, expectation=expectation)
    _readable(answer)
    return answer


def _readable(answer: Message) -> None:
    if answer.decoded.requirement:
        raise Inconclusive(f"the answer can't be read (see {answer.decoded.requirement}): {answer.decoded.fault}")
    if answer.type not in _KNOWN:
        raise Inconclusive(f"the answer is of no known type (see CB-MSG-003): {describe(answer)}")


_CODES = tuple(str(code) for code in ErrorCode)
