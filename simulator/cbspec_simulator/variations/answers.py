"""Changes of the relay's answers.

The `kind` of a message is its type, `error:code`, or "" for every type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cbspec.protocol.messages import Request
from cbspec_simulator.base.state import Attempt
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.parts import Change, around, both, part

Edit = Callable[[Body, AnswerContext], Body | list[Body]]
When = Callable[[AnswerContext], bool]


def always(_: AnswerContext) -> bool:
    """Return true for every exchange."""
    return True


def over_websocket(exchange: AnswerContext | Attempt) -> bool:
    """Whether the exchange takes place over WebSocket."""
    return exchange.connection.transport == "websocket"


def request_is(kind: type[Request]) -> When:
    """Whether the request was valid and of a type."""
    return lambda exchange: isinstance(exchange.request, kind)


def refused_by(*requirements: str) -> When:
    """Whether the request was refused by one of these requirements."""
    return lambda exchange: exchange.requirement in requirements


def answers(kind: str, edit: Edit, when: When = always) -> Change:
    """Edit the answers of a kind before they are encoded."""
    meant = _meant(kind, when)

    def edited(before: Callable[..., Iterable[Body]], body: Body, exchange: AnswerContext) -> list[Body]:
        found = (edit(message, exchange) if meant(message, exchange) else message for message in before(body, exchange))
        return list(_flat(found))

    return around("answers", edited)


def unanswered(kind: str, when: When = always) -> Change:
    """Omit the answers of a kind."""
    return answers(kind, lambda _, __: [], when)


def put(name: str, value: object) -> Edit:
    """Set a member; a callable value is called with the exchange."""
    return lambda body, exchange: {**body, name: value(exchange) if callable(value) else value}


def mapped(name: str, function: Callable[[Any], object]) -> Edit:
    """Apply a function to the value of a member."""
    return lambda body, _: {**body, name: function(body[name])}


def drop(name: str) -> Edit:
    """Omit a member."""
    return lambda body, _: {key: value for key, value in body.items() if key != name}


def twice(body: Body, _: AnswerContext) -> list[Body]:
    """Repeat the answer."""
    return [body, body]


def instead(**members: object) -> Edit:
    """Send another message."""
    return lambda _, __: dict(members)


def closes(kind: str, when: When = always) -> Change:
    """Close the connection instead of sending the answers of a kind."""
    return both(part(ends=_meant(kind, when)), unanswered(kind, when))


def closes_after(when: When, kind: str = "error") -> Change:
    """Close the connection after the answers of a kind for which `when` is true."""
    return part(ends=_meant(kind, when))


def texts(kind: str, function: Callable[[bytes], bytes | list[bytes]], when: When = always) -> Change:
    """Change the encoded messages of a kind."""
    meant = _meant(kind, when)

    def spell(before: Callable[..., Iterable[bytes]], body: Body, exchange: AnswerContext) -> list[bytes]:
        found = before(body, exchange)
        return list(_flat(map(function, found)) if meant(body, exchange) else found)

    return around("spell", spell)


def _meant(kind: str, when: When) -> Callable[[Body, AnswerContext], bool]:
    wanted = dict(zip(("type", "code"), filter(None, kind.split(":")), strict=False))
    return lambda body, exchange: {**body, **wanted} == body and when(exchange)


def _flat(found: Iterable[Any]) -> Iterator[Any]:
    for one in found:
        yield from one if isinstance(one, list) else (one,)
