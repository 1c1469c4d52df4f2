"""Changes of the relay's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cbspec.protocol.messages import Request
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.parts import Change, both, part

Edit = Callable[[Body, AnswerContext], Body | list[Body]]
When = Callable[[AnswerContext], bool]


def always(_: AnswerContext) -> bool:
    """Return true for every exchange."""
    return True


def over_websocket(exchange: AnswerContext) -> bool:
    """Whether the exchange takes place over WebSocket."""
    return exchange.connection.transport == "websocket"


def request_is(kind: type[Request]) -> When:
    """Whether the request was valid and of a type."""
    return lambda exchange: isinstance(exchange.request, kind)


def refused_by(*requirements: str) -> When:
    """Whether the request was refused by one of these requirements."""
    return lambda exchange: exchange.requirement in requirements


def answers(kind: str, edit: Edit, when: When = always) -> Change:
    """Edit the answers of a type before they are encoded. `kind` is a type or `error:code`."""
    name, _, code = kind.partition(":")

    def change(behaviour: Behaviour) -> Behaviour:
        def edited(body: Body, exchange: AnswerContext) -> list[Body]:
            done: list[Body] = []
            for message in behaviour.answers(body, exchange):
                meant = message.get("type") == name and (not code or message.get("code") == code) and when(exchange)
                found = edit(message, exchange) if meant else message
                done += found if isinstance(found, list) else [found]
            return done

        return replace(behaviour, answers=edited)

    return change


def unanswered(kind: str, when: When = always) -> Change:
    """Omit the answers of a type."""
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
    """Close the connection instead of sending the answers of a type."""
    name, _, code = kind.partition(":")

    def ends(body: Body, exchange: AnswerContext) -> bool:
        return body.get("type") == name and (not code or body.get("code") == code) and when(exchange)

    return both(part(ends=ends), unanswered(kind, when))


def closes_after(when: When) -> Change:
    """Close the connection after the errors for which `when` is true."""
    return part(ends=lambda body, exchange: body["type"] == "error" and when(exchange))


def texts(function: Callable[[bytes], bytes | list[bytes]], when: Callable[[Body, AnswerContext], bool]) -> Change:
    """Change the encoded messages for which `when` is true."""

    def change(behaviour: Behaviour) -> Behaviour:
        def spell(body: Body, exchange: AnswerContext) -> list[bytes]:
            found: list[bytes] = []
            for text in behaviour.spell(body, exchange):
                made = function(text) if when(body, exchange) else text
                found += made if isinstance(made, list) else [made]
            return found

        return replace(behaviour, spell=spell)

    return change
