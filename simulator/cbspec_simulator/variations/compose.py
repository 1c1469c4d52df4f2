"""What deviations and variants are composed of: functions that replace one part of a `Behaviour`.

Each takes a behaviour and returns another, so that several can be laid over each other:

    change = both(answers("auth_response", put("status", "fine")), without("rate"))
    behaviour = change(Behaviour())
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import RequestRefused
from cbspec.protocol.framing import Frame
from cbspec.protocol.messages import Message, Request, Violation
from cbspec.protocol.state import Rule, State
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.protocol.tls import server_context
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Check, Quota, Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body

Change = Callable[[Behaviour], Behaviour]
Edit = Callable[[Body, AnswerContext], Body | list[Body]]
When = Callable[[AnswerContext], bool]


def both(*changes: Change) -> Change:
    """Return the changes laid over each other, the first at the bottom."""

    def change(behaviour: Behaviour) -> Behaviour:
        for one in changes:
            behaviour = one(behaviour)
        return behaviour

    return change


def part(**parts: Any) -> Change:  # noqa: ANN401 - checked by the parts' own names
    """Replace parts by other ones."""
    return lambda behaviour: replace(behaviour, **parts)


def writing(**parts: Any) -> Change:  # noqa: ANN401 - checked by the parts' own names
    """Put bytes on the wire, or close, in another way."""
    return lambda behaviour: replace(behaviour, writing=replace(behaviour.writing, **parts))


def served_by(change: Callable[[ssl.SSLContext], None]) -> Change:
    """Serve TLS as a function leaves its context."""

    def context(chain: Path, key: Path | None) -> ssl.SSLContext:
        made = server_context(chain, key)
        change(made)
        return made

    return part(tls=context)


# Answers.


def always(_: AnswerContext) -> bool:
    """Say yes to every exchange."""
    return True


def answers(kind: str, edit: Edit, when: When = always) -> Change:
    """Edit the answers of a type (an error's may be written `error:code`) before they are spelt."""
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


def put(name: str, value: object) -> Edit:
    """Set a member; a callable is given the exchange."""
    return lambda body, exchange: {**body, name: value(exchange) if callable(value) else value}


def turn(name: str, function: Callable[[Any], object]) -> Edit:
    """Replace a member's value by what a function makes of it."""
    return lambda body, _: {**body, name: function(body[name])}


def drop(name: str) -> Edit:
    """Leave a member out."""
    return lambda body, _: {key: value for key, value in body.items() if key != name}


def silence(_: Body, __: AnswerContext) -> list[Body]:
    """Answer nothing."""
    return []


def twice(body: Body, _: AnswerContext) -> list[Body]:
    """Answer twice."""
    return [body, body]


def instead(**members: object) -> Edit:
    """Answer with another message."""
    return lambda body, exchange: {
        name: value(exchange) if callable(value) else value for name, value in members.items()
    }


def wrong_code(code: str, other: str, when: When = always) -> Change:
    """Give another code than the one that the situation asks for."""
    return answers(f"error:{code}", put("code", other), when)


def asked(kind: type[Request]) -> When:
    """Say whether the exchange's request was valid and of a type."""
    return lambda exchange: isinstance(exchange.request, kind)


def broke(*requirements: str) -> When:
    """Say whether the exchange's request was refused for one of these requirements."""
    return lambda exchange: exchange.requirement in requirements


# Texts on their way out and in.


def texts(function: Callable[[bytes], bytes | list[bytes]], when: Callable[[Body, AnswerContext], bool]) -> Change:
    """Change the texts of the messages for which `when` holds, after they were spelt."""

    def change(behaviour: Behaviour) -> Behaviour:
        def spell(body: Body, exchange: AnswerContext) -> list[bytes]:
            found: list[bytes] = []
            for text in behaviour.spell(body, exchange):
                made = function(text) if when(body, exchange) else text
                found += made if isinstance(made, list) else [made]
            return found

        return replace(behaviour, spell=spell)

    return change


def takes(mend: Callable[[bytes], bytes | None]) -> Change:
    """Take for good what isn't JSON: `mend` makes valid JSON of it, or None where it can't."""

    def change(behaviour: Behaviour) -> Behaviour:
        def decode(frame: Frame, max_depth: int) -> object:
            try:
                return behaviour.decode(frame, max_depth)
            except NotStrictJson:
                mended = mend(frame.text)
                if mended is None:
                    raise
                return behaviour.decode(Frame(mended), max_depth)

        return replace(behaviour, decode=decode)

    return change


MISSING: Any = object()
"""Stands for the value of a member that isn't there."""

Test = Callable[[Any], bool]


def missing(value: object) -> bool:
    """Say whether a member isn't there."""
    return value is MISSING


def accepts(kind: str, member: str, when: Test, by: object) -> Change:
    """Take a request for good although a member is wrong: where `when` holds of its value, `by` is read instead.

    A callable `by` is given the value.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        def understand(value: object) -> Message | Violation:
            if isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING)):
                value = {**value, member: by(value.get(member)) if callable(by) else by}
            return behaviour.understand(value)

        return replace(behaviour, understand=understand)

    return change


def refuses(kind: str, member: str, when: Test, code: ErrorCode) -> Change:
    """Refuse a request, where `when` holds of a member's value, with a code that isn't the right one."""

    def change(behaviour: Behaviour) -> Behaviour:
        def understand(value: object) -> Message | Violation:
            found = behaviour.understand(value)
            hit = isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING))
            return replace(found, code=code) if hit and isinstance(found, Violation) else found

        return replace(behaviour, understand=understand)

    return change


def by_subject(attempt: Attempt) -> Hashable:
    """Count for each subject of a tenant, whatever scope its rate has."""
    return attempt.known.tenant.id, attempt.known.subject


def by_connection(attempt: Attempt) -> Hashable:
    """Count for each connection of a tenant, whatever scope its rate has."""
    return attempt.known.tenant.id, attempt.connection.number


# Order.


def rule(state: State, request: type[Request], entry: Rule) -> Change:
    """Give a request another meaning in a state."""
    return lambda behaviour: replace(behaviour, table={**behaviour.table, (state, request): entry})


# Steps.


def each_step(name: str, function: Callable[[Step], tuple[Step, ...]]) -> Change:
    """Replace a step, by its name, by what a function makes of it."""

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
    """Leave a step out."""
    return each_step(name, lambda _: ())


def moved(
    name: str, to: type[Request], when: Callable[[Attempt], bool] | None = None, *, first: bool = False
) -> Change:
    """Take a step at another request, where `when` holds: behind the steps that are there, or before them."""

    def change(behaviour: Behaviour) -> Behaviour:
        step = next(step for steps in behaviour.steps.values() for step in steps if step.name == name)
        left = without(name)(behaviour)
        one, others = (replace(step, when=when),), left.steps[to]
        return replace(left, steps={**left.steps, to: (*one, *others) if first else (*others, *one)})

    return change


def check(name: str, function: Check) -> Change:
    """Make another check in a step's place."""
    return each_step(name, lambda step: (replace(step, check=function),))


def recoded(name: str, code: ErrorCode) -> Change:
    """Let a step refuse with another listed code."""

    def with_code(step: Step) -> tuple[Step, ...]:
        def refusing(attempt: Attempt) -> Any:  # noqa: ANN401 - whatever the step gives
            try:
                return step.check(attempt)
            except Refused as refused:
                raise Refused(code, refused.text, close=refused.close) from None

        return (replace(step, check=refusing),)

    return each_step(name, with_code)


def quota(name: str, **parts: Any) -> Change:  # noqa: ANN401 - checked by the parts' own names
    """Replace parts of a quota, for example whose account it is, or the limit."""

    def changed(step: Step) -> tuple[Step, ...]:
        assert isinstance(step.check, Quota)  # noqa: S101 - a mistake of the caller's
        return (replace(step, check=replace(step.check, **parts)),)

    return each_step(name, changed)


def limit(name: str, function: Callable[[int], int | None]) -> Change:
    """Count a quota against another limit, made from the true one."""

    def changed(step: Step) -> tuple[Step, ...]:
        assert isinstance(step.check, Quota)  # noqa: S101 - a mistake of the caller's
        true = step.check.limit

        def other(attempt: Attempt) -> int | None:
            found = true(attempt)
            return None if found is None else function(found)

        return (replace(step, check=replace(step.check, limit=other)),)

    return each_step(name, changed)


def refusals(function: Callable[[Attempt, RequestRefused], Refused | None]) -> Change:
    """Refuse what isn't valid in another way, where the function has one."""

    def change(behaviour: Behaviour) -> Behaviour:
        return replace(
            behaviour, refuse=lambda attempt, event: function(attempt, event) or behaviour.refuse(attempt, event)
        )

    return change
