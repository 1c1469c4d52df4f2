"""Plays the steps of a failure on a relay with the suite's own session, and judges the decisive step.

If an earlier step was accepted when the failure was found and is not accepted now, the replay is inconclusive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from websockets.frames import Frame, Opcode

from cbspec.profile.profile import Tenant
from cbspec.tokens.forgery import FORGERIES
from cbspec_conformance.failures.recipes import SPOILED, Recipe, reveal
from cbspec_conformance.failures.steps import CloseStep, ConnectStep, FailureStep, SendStep, StepRequest, StepText
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.judge import hold
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.decoding import Decoded, decode
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.expectation import Expectation, ExpectationKind
from cbspec_conformance.record.transcript import Direction, Message
from cbspec_conformance.target.relay import RelayUnderTest

_SURPLUS_WAIT = 0.3
"""Seconds to wait for an unexpected answer: its arrival is a breach, its absence proves nothing."""

_NOT_TRUSTED = ("invalid_token", "tenant_not_found", "ip_not_allowed")


class Player:
    """One replay of the steps.

    Arguments: `target` is the relay for this replay; `recipes` describe the tokens.
    """

    def __init__(self, target: RelayUnderTest, recipes: Mapping[str, Recipe]) -> None:
        self.target = target
        self._recipes = recipes
        self._tokens: dict[str, str] = {}
        self._sessions: dict[int, ProbeSession] = {}

    def play(self, steps: Sequence[FailureStep], expectation: Expectation) -> None:
        """Play all steps. Raises Broken if the failure occurs, Inconclusive if the replay proves nothing.

        The violation of an invariant is among the target's findings afterwards.
        """
        for step in steps:
            if isinstance(step, ConnectStep):
                self._connect(step)
            elif isinstance(step, CloseStep):
                session = self._session(step.connection)
                session.wire.reset() if step.reset else session.close()
            elif isinstance(step, SendStep):
                self._send(step, expectation)
        for session in self.target.room.open_sessions:
            session.unasked(_SURPLUS_WAIT)

    def token(self, name: str) -> str:
        """Return the token of a placeholder; it is made at the first call."""
        if name not in self._tokens:
            self._tokens[name] = self._make(self._recipes[name])
        return self._tokens[name]

    def _make(self, recipe: Recipe) -> str:
        if not recipe.forgery:
            return self.target.tokens.valid(Tenant(recipe.tenant), recipe.subject)
        if recipe.forgery == SPOILED:
            return self.target.tokens.spoil(self.token(recipe.of))
        forgery = next((forgery for forgery in FORGERIES if forgery.name == recipe.forgery), None)
        if forgery is None:
            raise Inconclusive(f"this kit knows no forgery {recipe.forgery!r}")
        return str(self.target.tokens.forged(forgery, self.token(recipe.of)))

    def _connect(self, step: ConnectStep) -> None:
        source = step.source if step.source in self.target.profile.target.source_addresses else None
        try:
            session = self.target.connect(source=source, transport=step.transport)
        except (Unreachable, HandshakeFailure) as error:
            raise Inconclusive(f"connection {step.connection} failed: {error}") from None
        self._sessions[step.connection] = session

    def _session(self, number: int) -> ProbeSession:
        if number not in self._sessions:
            raise Inconclusive(f"the steps send on connection {number}, which isn't open")
        return self._sessions[number]

    def _send(self, step: SendStep, expectation: Expectation) -> None:
        session = self._session(step.connection)
        requests = [self._request(session, request) for request in step.requests]
        pieces = self._pieces(session, step, requests)
        if not requests:
            for piece in pieces:
                session.send_unanswered(piece)
            return
        tenant = next(filter(None, map(self._tenant, step.requests)), "")
        session.assume(tenant=tenant or None)
        if len(requests) == 1:
            session.fences.use(step.fenced or session.fences.kind)
            exchange = session.exchange(requests[0], *pieces, fence=bool(step.fenced))
        else:
            exchange = session.together(requests, b"".join(pieces))
        if requests[-1].type == "auth" or len(requests) > 1:
            session.assume(authenticated=session.authenticated or judge.served(exchange))
        if step.decisive:
            if tenant and self.target.facts.rejected:
                _require_trust(exchange)
            hold(expectation, exchange)
            if expectation.kind is ExpectationKind.INVARIANT:
                session.unasked(_SURPLUS_WAIT)  # before a step closes the connection
        elif len(requests) == 1:
            _require_earlier_success(step, exchange)

    def _request(self, session: ProbeSession, request: StepRequest) -> Message:
        """Record a request in the transcript."""
        text = self._bytes(request)
        value: Any = json.loads(text) if request.json is not None else decode(text).value
        if not isinstance(value, dict) or value.get("type", "") != request.type:
            value = {"type": request.type} if request.type else value
        return session.record_text(text, Decoded(value, fault=request.fault), request.meant)

    def _pieces(self, session: ProbeSession, step: SendStep, requests: list[Message]) -> list[bytes]:
        """Return the bytes to send, a piece for each TLS record."""
        if step.frames:
            frames = [Frame(Opcode(frame.opcode), self._bytes(frame.payload), frame.fin) for frame in step.frames]
            return [frame.serialize(mask=True) for frame in frames]
        data = self._bytes(step.wire) if step.wire else b"".join(session.encode(message.text) for message in requests)
        ends = [*step.cuts, len(data)]
        return [data[start:end] for start, end in zip([0, *step.cuts], ends, strict=True)]

    def _bytes(self, text: StepText) -> bytes:
        return text.to_bytes(lambda value: reveal(value, self.token))

    def _tenant(self, request: StepRequest) -> str:
        """Return the tenant of the valid token in an auth, or ""."""
        if request.type != "auth":
            return ""
        names = [name for name in self._recipes if f"<<{name}>>" in request.value]
        return self._recipes[names[0]].tenant if names else ""


def _require_trust(exchange: Exchange) -> None:
    """Raise Inconclusive if the relay refuses a valid token: it does not know the kit's key."""
    code = judge.error_code(exchange)
    if code in _NOT_TRUSTED:
        raise Inconclusive(f"this kit's tokens are not accepted ({code}); check tokens and tenants in the profile")


def _require_earlier_success(step: SendStep, exchange: Exchange) -> None:
    """Raise Inconclusive if a request is refused now that was accepted when the failure was found."""
    answers = [Message(0.0, 0, Direction.RECEIVED, b"", decode(text.to_bytes())) for text in step.then]
    accepted = [answer for answer in answers if judge.is_success(answer)]
    if accepted and not judge.served(exchange):
        now = judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)
        raise Inconclusive(
            f"{step.requests[0].type} drew {judge.named(accepted[0].type)} when the failure was found, and now: {now}"
        )
