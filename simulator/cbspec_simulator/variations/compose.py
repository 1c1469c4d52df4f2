"""The pieces of variations: functions that return a behaviour with one part replaced.

change = both(answers("auth_response", put("status", "fine")), without("rate"))
behaviour = change(Behaviour())
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

from websockets.server import ServerProtocol

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Framer, RequestRefused
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Message, Request, TunnelInfo, Violation
from cbspec.protocol.state import Rule, State
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.protocol.tls import TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import server_context
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import Check, Quota, Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.settings.config import LimitSettings

Change = Callable[[Behaviour], Behaviour]
Edit = Callable[[Body, AnswerContext], Body | list[Body]]
When = Callable[[AnswerContext], bool]


def both(*changes: Change) -> Change:
    """Apply changes in their order."""

    def change(behaviour: Behaviour) -> Behaviour:
        for one in changes:
            behaviour = one(behaviour)
        return behaviour

    return change


def part(**parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of the behaviour."""
    return lambda behaviour: replace(behaviour, **parts)


def writing(**parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of the behaviour's writing."""
    return lambda behaviour: replace(behaviour, writing=replace(behaviour.writing, **parts))


def served_by(change: Callable[[ssl.SSLContext], None]) -> Change:
    """Change the context that TLS is served with."""

    def context(chain: Path, key: Path | None) -> ssl.SSLContext:
        made = server_context(chain, key)
        change(made)
        return made

    return part(tls=context)


def layered(layer: type[TlsLayer]) -> Change:
    """Use another class for the TLS layer of each connection."""
    return part(layer=lambda context: layer(context, server_side=True))


def framed(framer: Callable[..., Framer]) -> Change:
    """Divide a plain stream by another framer."""
    return part(stream=lambda limits: framer(max_message=limits.max_message, max_depth=limits.max_depth))


def spoken(protocol: type[ServerProtocol], framer: type[WebSocketFramer] = WebSocketFramer, **options: Any) -> Change:  # noqa: ANN401 - the protocol's own options
    """Use other classes for WebSocket."""

    def websocket(limits: LimitSettings) -> WebSocketFramer:
        return framer(protocol(max_size=limits.max_message, **options))

    return part(websocket=websocket)


# Answers.


def always(_: AnswerContext) -> bool:
    """Return true for every exchange."""
    return True


def over_websocket(exchange: AnswerContext) -> bool:
    """Whether the exchange takes place over WebSocket."""
    return exchange.connection.transport == "websocket"


def asked(kind: type[Request]) -> When:
    """Whether the request was valid and of a type."""
    return lambda exchange: isinstance(exchange.request, kind)


def broke(*requirements: str) -> When:
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


def turn(name: str, function: Callable[[Any], object]) -> Edit:
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


# Input.


def takes(mend: Callable[[bytes], bytes | None]) -> Change:
    """Accept input that isn't JSON: `mend` returns the JSON to read instead, or None."""

    def change(behaviour: Behaviour) -> Behaviour:
        def decode(frame: RawMessage, max_depth: int) -> object:
            try:
                return behaviour.decode(frame, max_depth)
            except NotStrictJson:
                mended = mend(frame.text)
                if mended is None:
                    raise
                return behaviour.decode(RawMessage(mended), max_depth)

        return replace(behaviour, decode=decode)

    return change


def misreads(what: Callable[[bytes], bytes]) -> Change:
    """Apply a function to each input text before it is decoded."""

    def change(behaviour: Behaviour) -> Behaviour:
        def decode(frame: RawMessage, max_depth: int) -> object:
            return behaviour.decode(frame._replace(text=what(frame.text)), max_depth)

        return replace(behaviour, decode=decode)

    return change


def unreadable(when: Callable[[bytes], bool]) -> Change:
    """Refuse valid input texts for which `when` is true."""
    return misreads(lambda text: b'{"type":""}' if when(text) else text)


def understands(around: Callable[[Callable[[object], Message | Violation], object], Message | Violation]) -> Change:
    """Interpret JSON values by a function of the previous interpretation and the value."""
    return lambda behaviour: replace(behaviour, understand=lambda value: around(behaviour.understand, value))


MISSING: Any = object()
"""The value of a member that is absent."""

Test = Callable[[Any], bool]


def missing(value: object) -> bool:
    """Whether a member is absent."""
    return value is MISSING


def of_type(*types: type) -> Test:
    """Whether a value is of one of these types; a boolean is no number."""
    return lambda value: isinstance(value, types) and (bool in types or not isinstance(value, bool))


def accepts(kind: str, member: str, when: Test, by: object) -> Change:
    """Accept a request with a wrong member: read `by` if `when` is true of the value.

    A callable `by` is called with the value.
    """

    def around(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
        if isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING)):
            value = {**value, member: by(value.get(member)) if callable(by) else by}
        return understand(value)

    return understands(around)


def refuses(kind: str, member: str, when: Test, code: ErrorCode) -> Change:
    """Refuse a request with another code if `when` is true of a member's value."""

    def around(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
        found = understand(value)
        hit = isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING))
        return replace(found, code=code) if hit and isinstance(found, Violation) else found

    return understands(around)


# Order and steps.


def rule(state: State, request: type[Request], entry: Rule) -> Change:
    """Replace an entry of the transition table."""
    return lambda behaviour: replace(behaviour, table={**behaviour.table, (state, request): entry})


def each_step(name: str, function: Callable[[Step], tuple[Step, ...]]) -> Change:
    """Replace the steps of a name by those that a function returns. Raises LookupError if there are none."""

    def through(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(new for step in steps for new in (function(step) if step.name == name else (step,)))

    def change(behaviour: Behaviour) -> Behaviour:
        changed = {kind: through(steps) for kind, steps in behaviour.steps.items()}
        every = through(behaviour.every)
        if changed == dict(behaviour.steps) and every == behaviour.every:
            raise LookupError(f"no step is called {name}")
        return replace(behaviour, steps=changed, every=every)

    return change


def without(name: str) -> Change:
    """Remove a step."""
    return each_step(name, lambda _: ())


def added(request: type[Request], step: Step, *, first: bool = False) -> Change:
    """Add a step at the end of a request's steps, or at the start."""

    def change(behaviour: Behaviour) -> Behaviour:
        others = behaviour.steps[request]
        return replace(behaviour, steps={**behaviour.steps, request: (step, *others) if first else (*others, step)})

    return change


def moved(
    name: str, to: type[Request], when: Callable[[Attempt], bool] | None = None, *, first: bool = False
) -> Change:
    """Move a step to another request, where it applies if `when` is true."""

    def change(behaviour: Behaviour) -> Behaviour:
        step = next(step for steps in behaviour.steps.values() for step in steps if step.name == name)
        return both(without(name), added(to, replace(step, when=when), first=first))(behaviour)

    return change


def check(name: str, function: Check) -> Change:
    """Replace the check of a step."""
    return each_step(name, lambda step: (replace(step, check=function),))


def watching(name: str, make: Callable[[Check], Check]) -> Change:
    """Replace the check of a step by `make(check)`, which is called for each behaviour: checks can keep state."""
    return each_step(name, lambda step: (replace(step, check=make(step.check)),))


def recoded(name: str, code: ErrorCode) -> Change:
    """Let a step refuse with another code."""

    def make(inner: Check) -> Check:
        def refusing(attempt: Attempt) -> Any:  # noqa: ANN401 - what the step returns
            try:
                return inner(attempt)
            except Refused as refused:
                raise Refused(code, refused.text, close=refused.close) from None

        return refusing

    return watching(name, make)


def quota(name: str, **parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of a quota, for example its account or its limit."""

    def make(inner: Check) -> Check:
        assert isinstance(inner, Quota)  # noqa: S101 - the caller names a quota
        return replace(inner, **parts)

    return watching(name, make)


def limit(name: str, function: Callable[[int], int | None]) -> Change:
    """Apply a function to the limit of a quota."""

    def make(inner: Check) -> Check:
        assert isinstance(inner, Quota)  # noqa: S101 - the caller names a quota

        def other(attempt: Attempt) -> int | None:
            found = inner.limit(attempt)
            return None if found is None else function(found)

        return replace(inner, limit=other)

    return watching(name, make)


def refusals(function: Callable[[Attempt, RequestRefused], Refused | None]) -> Change:
    """Refuse invalid requests as a function says; None keeps the refusal."""

    def change(behaviour: Behaviour) -> Behaviour:
        return replace(
            behaviour, refuse=lambda attempt, event: function(attempt, event) or behaviour.refuse(attempt, event)
        )

    return change


def refused_as(code: ErrorCode, *requirements: str) -> Change:
    """Refuse requests that break one of these requirements with another code."""
    return refusals(lambda _, event: Refused(code, event.text) if event.requirement in requirements else None)


def by_subject(attempt: Attempt) -> Hashable:
    """Return the account of a tenant's subject."""
    return attempt.known.tenant.id, attempt.known.subject


def by_connection(attempt: Attempt) -> Hashable:
    """Return the account of a tenant's connection."""
    return attempt.known.tenant.id, attempt.connection.number


def named_tenant(attempt: Attempt) -> Identity:
    """Return an identity of the tenant that a tunnel_info names."""
    tenant = attempt.relay.tenants.get(asks_for(attempt).tenant_id)
    if tenant is None:
        raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
    return Identity("", tenant)


def asks_for(attempt: Attempt) -> TunnelInfo:
    """Return the tunnel_info of an attempt."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - called by steps of tunnel_info only
    return attempt.request
