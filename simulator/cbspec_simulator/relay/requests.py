"""The requests of one connection: checked step by step, and served."""

from __future__ import annotations

from collections.abc import Iterator

from cbspec.protocol.connection import RequestReceived, RequestRefused
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    TunnelInfo,
    TunnelResponse,
)
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.state import Attempt, ConnectionState, Refused
from cbspec_simulator.base.steps import IoRequest, Step
from cbspec_simulator.faults.kind import Handling
from cbspec_simulator.relay.relay import Relay

Outcome = Answer | Refused | IoRequest
"""The result of a request, or the I/O that its next step needs."""

_BEAT = HeartbeatResponse()


class RequestHandler:
    """Checks and serves requests, one at a time.

    `waiting` is the request that waits for I/O: call `go_on` after it.
    """

    __slots__ = ("_attempt", "_relay", "_state", "_steps", "waiting")

    def __init__(self, relay: Relay, state: ConnectionState) -> None:
        self._relay = relay
        self._state = state
        self._attempt: Attempt
        self._steps: Iterator[Step]
        self.waiting: RequestReceived | RequestRefused | None = None

    def open(self, now: Moment) -> Refused | None:
        """Take the steps of a new connection; return a refusal, if any."""
        attempt = Attempt(self._state, None, now)
        try:
            for step in self._relay.behaviour.welcome:
                step.check(attempt)
        except Refused as refused:
            return self._refused(attempt, refused)
        self._state.held += attempt.held
        return None

    def handle(self, event: RequestReceived | RequestRefused, now: Moment, faults: Handling | None) -> Outcome:
        """Handle a request, with the additional steps of faults, if any."""
        behaviour, identity = self._relay.behaviour, self._state.identity
        request = event.request if isinstance(event, RequestReceived) else None
        steps = () if request is None else behaviour.steps[type(request)]
        if identity is not None and not isinstance(request, Auth):
            steps = (*behaviour.every, *steps)
        if faults:
            steps = (*faults.first_steps, *steps, *(faults.last_steps if request is not None else ()))
        return self._take(Attempt(self._state, request, now, identity), iter(steps), event)

    def go_on(self, success: bool, now: Moment) -> Outcome:
        """Continue with the waiting request after its I/O."""
        event, attempt = self.waiting, self._attempt
        assert event is not None  # noqa: S101 - the caller looks at `waiting`
        self.waiting = None
        attempt.now, attempt.dialled = now, success
        return self._take(attempt, self._steps, event)

    def abandon(self) -> None:
        """Release the resources of a waiting request."""
        if self.waiting is not None:
            self.waiting = None
            self._relay.release(self._attempt.held)

    def _take(self, attempt: Attempt, steps: Iterator[Step], event: RequestReceived | RequestRefused) -> Outcome:
        """Take steps until one refuses or needs I/O."""
        try:
            if attempt.identity is None and isinstance(attempt.request, TunnelInfo):
                attempt.identity = self._relay.behaviour.identity_before_auth(attempt)
            for step in steps:
                if step.when is None or step.when(attempt):
                    wanted = step.check(attempt)
                    if wanted is not None:
                        self.waiting, self._attempt, self._steps = event, attempt, steps
                        return wanted
            if isinstance(event, RequestRefused):
                raise self._relay.behaviour.refuse(attempt, event)
        except Refused as refused:
            return self._refused(attempt, refused)
        return self._serve(attempt)

    def _refused(self, attempt: Attempt, refused: Refused) -> Refused:
        self._relay.release(attempt.held)
        self._relay.behaviour.refused(attempt, refused)
        return refused

    def _serve(self, attempt: Attempt) -> Answer:
        state, request = self._state, attempt.request
        state.held += attempt.held
        if isinstance(request, Heartbeat):
            return _BEAT
        if isinstance(request, Hello):
            state.admitted = True
            return HelloResponse(features=self._relay.config.relay.features)
        if isinstance(request, Auth):
            identity = state.identity = attempt.known
            state.shown = ""
            state.names = identity.tenant.id, identity.subject
            return AuthResponse(identity.subject, identity.tenant.id)
        assert isinstance(request, TunnelInfo)  # noqa: S101 - the last of the four
        state.tunnels.add(request.tunnel_id)
        return TunnelResponse(request.tunnel_id)
