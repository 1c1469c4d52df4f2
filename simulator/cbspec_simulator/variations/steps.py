"""Changes of the order of messages, and of the steps that serve a request."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import RequestRefused
from cbspec.protocol.messages import Request, TunnelInfo
from cbspec.protocol.state import Rule, State
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import Check, IoRequest, Quota, Step
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, around, both


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
    """Move a step to another request; it applies there if `when` is true."""

    def change(behaviour: Behaviour) -> Behaviour:
        step = next(step for steps in behaviour.steps.values() for step in steps if step.name == name)
        return both(without(name), added(to, replace(step, when=when), first=first))(behaviour)

    return change


def watching(name: str, make: Callable[[Any], Check]) -> Change:
    """Replace the check of a step by `make(check)`."""
    return each_step(name, lambda step: (replace(step, check=make(step.check)),))


def check(name: str, function: Check) -> Change:
    """Replace the check of a step."""
    return watching(name, lambda _: function)


def checking(name: str, function: Callable[[Check, Attempt], IoRequest | None]) -> Change:
    """Replace the check of a step by a function of the previous check and the attempt."""
    return watching(name, lambda inner: partial(function, inner))


def recoded(name: str, code: ErrorCode) -> Change:
    """Let a step refuse with another code."""

    def refusing(inner: Check, attempt: Attempt) -> IoRequest | None:
        try:
            return inner(attempt)
        except Refused as refused:
            raise Refused(code, refused.text, close=refused.close) from None

    return checking(name, refusing)


def quota(name: str, **parts: Any) -> Change:  # noqa: ANN401 - checked by the names of the parts
    """Replace parts of a quota, for example its account or its limit."""
    return watching(name, lambda inner: replace(inner, **parts))


def limit(name: str, function: Callable[[int], int | None]) -> Change:
    """Apply a function to the limit of a quota."""

    def limited(inner: Quota, attempt: Attempt) -> int | None:
        found = inner.limit(attempt)
        return None if found is None else function(found)

    return watching(name, lambda inner: replace(inner, limit=partial(limited, inner)))


def refusals(function: Callable[[Attempt, RequestRefused], Refused | None]) -> Change:
    """Refuse invalid requests as a function says; None keeps the refusal."""
    return around("refuse", lambda refuse, attempt, event: function(attempt, event) or refuse(attempt, event))


def refused_as(code: ErrorCode, *requirements: str) -> Change:
    """Refuse requests that break one of these requirements with another code."""
    return refusals(lambda _, event: Refused(code, event.text) if event.requirement in requirements else None)


def claims_of(attempt: Attempt) -> Claims:
    """Return the claims of an attempt."""
    assert attempt.claims is not None  # noqa: S101 - set by an earlier step
    return attempt.claims


def by_subject(attempt: Attempt) -> Hashable:
    """Return the account of a tenant's subject."""
    return attempt.known.tenant.id, attempt.known.subject


def by_connection(attempt: Attempt) -> Hashable:
    """Return the account of a tenant's connection."""
    return attempt.known.tenant.id, attempt.connection.number


def named_tenant(attempt: Attempt) -> Identity:
    """Return an identity of the tenant that a tunnel_info names."""
    tenant = attempt.relay.tenants.get(tunnel_request(attempt).tenant_id)
    if tenant is None:
        raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
    return Identity("", tenant)


def tunnel_request(attempt: Attempt) -> TunnelInfo:
    """Return the tunnel_info of an attempt."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - called by steps of tunnel_info only
    return attempt.request
