"""A failure's expectation, held against an exchange that was made again: the suite's own judgements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.expectation import Expectation, Kind
from cbspec_conformance.record.exchange import Exchange

_JUDGEMENTS: Mapping[Kind, Callable[[Exchange, tuple[str, ...]], object]] = {
    Kind.ACCEPTED: lambda exchange, values: judge.accepted(exchange, *values),
    Kind.REFUSED_WITH: lambda exchange, values: judge.refused_with(exchange, *values),
    Kind.REFUSED: lambda exchange, _: judge.refused(exchange),
    Kind.NOT_ACCEPTED: lambda exchange, _: judge.not_accepted(exchange),
    Kind.NOTICED: lambda exchange, _: judge.noticed(exchange),
    Kind.ALL_ANSWERED: judge.all_answered,
}


def hold(expectation: Expectation, exchange: Exchange) -> None:
    """Raise Broken or Inconclusive as the suite did; invariants are held against every exchange as it is made."""
    if expectation.kind in _JUDGEMENTS:
        _JUDGEMENTS[expectation.kind](exchange, expectation.values)
