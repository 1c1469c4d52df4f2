"""Connections of the suite's own TLS client: the same request after any handshake, in any records.

The certificate was verified by the preflight only, so no token is ever sent here.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.handshake import opening_request
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NeverWorks, NotExercised, RateLimited
from cbspec_conformance.probe.client_hello import Offer
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.probe.tcp import Tcp, Unreachable, capturing
from cbspec_conformance.probe.tls_client import NotAgreed, Ticket, TlsClient
from cbspec_conformance.target.relay import RelayUnderTest

SERVED = ""
"""The outcome of an attempt after which the request was served; any other one says what happened instead."""

_WAIT = "an answer to the suite's own TLS client"
_ANSWERS = {"hello_response", "HTTP 101"}
_NOTHING_SHARED = ("handshake_failure", "insufficient_security")

Attempt = Callable[[TlsClient], str]


class HandMade:
    """Makes connections to the relay of a case, after a control: a usual handshake, and a request that is served."""

    def __init__(self, relay: RelayUnderTest) -> None:
        self._relay = relay
        if relay.facts.tls or relay.facts.hello:
            raise NeverWorks(f"hello doesn't work on this relay: {relay.facts.tls or relay.facts.hello}")
        if relay.profile.tls.client_certificate is not None:
            raise NotExercised("the suite's own TLS client has no client certificate")
        self._text = json.dumps(HELLO).encode() + b"\n"
        if relay.facts.transport == "websocket":
            self._text = opening_request(str(relay.endpoint), relay.profile.target.websocket_path)
        self.control()

    @property
    def request(self) -> bytes:
        """A hello; if the run uses WebSocket, the opening handshake."""
        return self._text

    def control(self) -> TlsClient:
        """Complete a usual handshake, and see the request served."""
        try:
            with self.connected() as client:
                client.handshake()
                if seen := self.ask(client):
                    self._relay.signs.silent |= not client.end  # the relay may have paused
                    raise Inconclusive(f"the control failed: a usual TLS 1.3 connection ended in {seen}")
                return client
        except NotAgreed as error:
            reason = str(error)
            self._relay.signs.silent |= not client.end
        except Unreachable as error:
            raise Inconclusive(f"the control failed: {error}") from None
        if any(alert in reason for alert in _NOTHING_SHARED):
            raise NotExercised("the relay has no cipher suite or group of the suite's own TLS client")
        raise Inconclusive(f"the control failed: a usual TLS 1.3 handshake ended in {reason}")

    @contextlib.contextmanager
    def connected(
        self,
        offer: Offer | None = None,
        *,
        fragment: int = 0,
        changes: str = "",
        ticket: Ticket | None = None,
        early: bytes = b"",
        repeated: TlsClient | None = None,
    ) -> Iterator[TlsClient]:
        """Yield a connection before its handshake (see TlsClient), and close it."""
        relay, timeout = self._relay, self._relay.tempo.timeout(_WAIT)
        sock = relay.dial(timeout)
        client = TlsClient(
            Tcp(sock, capture=capturing(sock, relay.transcript)),
            relay.connector.server_name,
            offer or Offer(),
            timeout,
            fragment=fragment,
            changes=changes,
            ticket=ticket,
            early=early,
            repeated=repeated,
        )
        try:
            yield client
        finally:
            client.close(relay.tempo.closing if relay.room.patient else 0.0)

    def ask(self, client: TlsClient) -> str:
        """Send the request and return the outcome."""
        client.send(self._text)
        return self.outcome(client)

    def outcome(self, client: TlsClient, *, of_first: bool = False) -> str:
        """Wait for the answer to the request, and return the outcome; `of_first`: of the first answer to anything."""
        seconds = self._relay.tempo.timeout(_WAIT)
        received, deadline = b"", time.monotonic() + seconds
        while not client.end and (left := deadline - time.monotonic()) > 0:
            received += client.receive(left)
            answers = _answers(received)
            if _ANSWERS.intersection(answers[:1] if of_first else answers):
                return SERVED
            for code in answers:
                if code == ErrorCode.RATE_LIMIT_EXCEEDED:
                    raise RateLimited(f"the relay answered {code} to a hello")
                if code in judge.OUT_OF_ROOM:
                    raise judge.no_room(code, " to a hello")
            if of_first and answers:
                return f"an answer, {answers[0]}"
        if client.end:
            return client.end
        self._relay.tempo.waited_for_nothing(_WAIT)
        self._waited(seconds)
        return f"no answer within {seconds:.0f} s" + (f", but {len(received)} bytes" if received else "")

    def _waited(self, seconds: float) -> None:
        """Record a time-out: other cases may have delayed the relay, and then the case begins again alone."""
        self._relay.transcript.add_wait(0, seconds, _WAIT)

    def attempted(self, offer: Offer | None, attempt: Attempt, *, fragment: int = 0, changes: str = "") -> str:
        """Return the outcome of an attempt on a new connection; a handshake that fails is one, too."""
        try:
            with self.connected(offer, fragment=fragment, changes=changes) as client:
                return attempt(client)
        except NotAgreed as error:
            if not client.end:
                self._waited(client.timeout)
            return str(error)
        except Unreachable as error:
            raise Inconclusive(str(error)) from None

    def after_handshake(self, client: TlsClient) -> str:
        """Complete the handshake, and return the outcome of the request after it."""
        client.handshake()
        return self.ask(client)

    def each(
        self,
        expected: str,
        attempts: Mapping[str, Callable[[], str]],
        controls: Mapping[str, Callable[[], str]] | None = None,
    ) -> None:
        """Expect every attempt to return SERVED. An attempt that fails is tried again after a control.

        An attempt whose own control, by the same name, fails says nothing: another requirement is broken.
        """
        for name, attempt in attempts.items():
            if attempt() == SERVED:
                continue
            self.control()
            if controls is not None and controls[name]() != SERVED:
                continue
            if (seen := attempt()) != SERVED:
                raise Broken(f"{expected} ({name})", seen)


def _answers(received: bytes) -> list[str]:
    """Return the types of the messages in received text, the codes of errors, or the status of an HTTP response."""
    if received.startswith(b"HTTP/"):
        line, end, _ = received.partition(b"\r\n")
        return [f"HTTP {line.split(b' ')[1].decode(errors='replace')}"] if end and b" " in line else []
    text, types = received.decode(errors="replace").lstrip(), []
    with contextlib.suppress(ValueError, RecursionError):
        while text:
            value, end_of_value = json.JSONDecoder().raw_decode(text)
            kind = value.get("type") if isinstance(value, dict) else None
            types.append(str(value.get("code") if kind == "error" else kind))
            text = text[end_of_value:].lstrip()
    return types
