"""A client's session without I/O: bytes in, answers out; requests in, bytes out.

It combines TLS, transport and protocol. `link.py` (asyncio) and `blocking.py` transfer its bytes. Failures of each
layer are raised as the exceptions of `errors.py`; after one, `data_to_send()` may still hold a TLS alert.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from websockets.exceptions import InvalidHandshake, InvalidHeader, InvalidStatus, NegotiationError, PayloadTooBig

from cbspec.protocol.connection import AnswerReceived, Connection, LocalProtocolError, RemoteProtocolError, read_message
from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Message,
    Request,
    Role,
    Violation,
    encode,
    parse,
    to_dict,
)
from cbspec.protocol.state import TABLE, Refuse, State
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.redact import conceal, redact
from cbspec.tokens.jws import claims_of
from cbspec_client.errors import (
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
)

_MASK = "***"
_TEMPORARY = frozenset({429, 502, 503, 504})  # the HTTP statuses of a server that may answer later


class Transport(StrEnum):
    """The transport inside TLS."""

    TCP = "tcp"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Passed:
    """A message sent or received: its text, and the parsed message or None if it is invalid.

    `binary`: it arrived as a binary WebSocket message. `faulty`: its frame broke a rule that only a stricter framer
    checks. The text and the message may contain a token, so they are not in the repr.
    """

    sent: bool
    text: bytes = field(repr=False)
    message: Message | None = field(repr=False)
    binary: bool = False
    faulty: bool = False


class ClientSession:
    """The client's end of one connection.

    Arguments: `context` holds TLS version and trusted CAs, `server_name` is the name in the certificate, `authority`
    (host and port) and `path` are for the WebSocket handshake, `exchange` is called with each message sent or received,
    `websocket` is the framer. Raises Misuse for an invalid name or path.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        server_name: str,
        *,
        transport: Transport = Transport.TCP,
        authority: str = "",
        path: str = "/",
        exchange: Callable[[Passed], None] | None = None,
        websocket: type[WebSocketFramer] = WebSocketFramer,
    ) -> None:
        try:
            self._tls = TlsLayer(context, server_side=False, server_name=server_name)
        except (ValueError, TypeError):
            raise Misuse(f"{server_name!r} is not a valid server name") from None
        self._websocket: WebSocketFramer | None = None
        if transport is Transport.WEBSOCKET:
            if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
                raise Misuse(f"{path!r} is not a valid path; a path begins with '/' and contains no space")
            self._websocket = websocket.client(authority or server_name, path)
        self._connection = Connection(Role.CLIENT, self._websocket or StreamFramer(), read=self._read)
        self._exchange = exchange
        self._token = ""
        self._answer: Answer | None = None
        self._unsolicited: Error | None = None
        self._said_goodbye = False

    @property
    def state(self) -> State:
        """The protocol state."""
        return self._connection.state

    @property
    def ready(self) -> bool:
        """Whether the handshakes are complete, so that requests can be sent."""
        return self._tls.established and (self._websocket is None or self._websocket.opened)

    @property
    def answered(self) -> bool:
        """Whether the answer to the request has arrived."""
        return self._answer is not None

    @property
    def finished(self) -> bool:
        """Whether the closing handshake after `close` is complete."""
        return self._websocket is None or not self._websocket.opened or self._websocket.finished

    def take_answer(self) -> Answer:
        """Return the answer; only if `answered`."""
        answer, self._answer = self._answer, None
        assert answer is not None  # noqa: S101 - `answered` said so
        return answer

    @property
    def disturbed(self) -> bool:
        """Whether an error has arrived that answers no request."""
        return self._unsolicited is not None

    def take_unsolicited(self) -> Error | None:
        """Return the first error since the last call that answers no request, or None."""
        error, self._unsolicited = self._unsolicited, None
        return error

    def request(self, message: Request) -> None:
        """Send a request by `data_to_send()`.

        Raises Misuse, and sends nothing, if it is invalid or not allowed in this state.
        """
        rule = TABLE[self.state, type(message)]
        if isinstance(rule, Refuse):
            raise Misuse(f"{message.type}: {rule.text}")
        checked = parse(to_dict(message), Role.CLIENT)
        if isinstance(checked, Violation):
            raise Misuse(checked.text)
        try:
            wire = self._connection.send(checked)
        except LocalProtocolError as error:
            raise Misuse(str(error)) from None
        if isinstance(message, Auth):
            self._token = message.token
        self._report(Passed(sent=True, text=encode(checked), message=checked))
        self._tls.send(wire)

    def receive_data(self, data: bytes) -> None:
        """Receive bytes.

        Raises ClientError if the connection can't continue; an answer received before the failure is available.
        """
        try:
            plain = self._tls.receive_data(data)
            if plain:
                self._connection.receive_data(plain)
                self.read_on()
                self._tls.receive_data(b"")  # raises a failure after the plain text
        except TlsFailed as error:
            raise self._tls_failure(error) from None
        failure = self._websocket_failure()
        if failure is None and self._tls.ended:
            failure = self.receive_eof()
        if failure is not None:
            raise failure

    def read_on(self) -> None:
        """Read the messages already received after a violation of the protocol; raises as `receive_data` does."""
        try:
            while (event := self._connection.next_event()) is not None:
                if isinstance(event, AnswerReceived):
                    self._take(event)
        except RemoteProtocolError as error:
            raise RelayMisbehaved(str(error), error.requirement) from None

    def receive_eof(self) -> ClientError:
        """Record the end of input; return the failure that it means."""
        if not self._tls.established:
            return TlsRefused("the other end closed the connection during the TLS handshake", lasting=False)
        if not self.ready:
            return ConnectFailed("the relay closed the connection during the WebSocket handshake")
        clean = self._connection.receive_end().clean
        return ConnectionLost(f"the relay closed the connection{'' if clean else ' before it had answered'}")

    def close(self) -> None:
        """Begin to close; call `goodbye` when `finished`."""
        if self._websocket is not None:
            self._websocket.close()

    def goodbye(self) -> None:
        """End the session; nothing can be sent after this."""
        self.close()
        self._pump()
        self._said_goodbye = True
        self._tls.close()

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the relay."""
        self._pump()
        return self._tls.data_to_send()

    def _pump(self) -> None:
        wire = self._websocket.data_to_send() if self._websocket else b""
        if wire and not self._said_goodbye:
            self._tls.send(wire)

    def _take(self, event: AnswerReceived) -> None:
        answer = event.answer
        # A relay may repeat this token, or that of an earlier connection, in texts that are logged.
        if isinstance(answer, Error):
            code, message = (redact(self._concealed(text), _MASK) for text in (answer.code, answer.message))
            answer = replace(answer, code=code, message=message)
        elif isinstance(answer, AuthResponse):
            answer = replace(answer, client_id=self._concealed(answer.client_id))
        if event.request is None:
            assert isinstance(answer, Error)  # noqa: S101 - only errors are accepted without a request
            self._unsolicited = self._unsolicited or answer
            return
        if isinstance(answer, AuthResponse) and isinstance(event.request, Auth):
            tenant = claims_of(event.request.token).get("tenant_id")
            if isinstance(tenant, str) and tenant != answer.tenant_id:
                raise RelayMisbehaved("an auth_response for another tenant than the token's", "CB-AUT-003")
        self._answer = answer

    def _concealed(self, text: str) -> str:
        return conceal(text, self._token, _MASK)

    def _read(self, frame: RawMessage, sender: Role) -> Message | Violation:
        found = read_message(frame, sender)
        message = None if isinstance(found, Violation) else found
        faulty = self._websocket is not None and self._websocket.take_fault()
        self._report(Passed(sent=False, text=frame.text, message=message, binary=frame.binary, faulty=faulty))
        return found

    def _report(self, passed: Passed) -> None:
        if self._exchange is not None:
            self._exchange(passed)

    def _tls_failure(self, error: TlsFailed) -> ClientError:
        if error.unverified:
            return CertificateNotTrusted(f"the relay's certificate is not trusted: {error}")
        if not self._tls.established:
            return TlsRefused(f"no TLS 1.3 session with the other end: {error}")
        return ConnectionLost(f"the TLS session ended: {error}")

    def _websocket_failure(self) -> ClientError | None:
        if self._websocket is None:
            return None
        match self._websocket.failure:
            case None if self._websocket.ended:
                return ConnectionLost("the relay closed the WebSocket")
            case None:
                return None
            case InvalidStatus(response=response):
                status = response.status_code
                text = f"the relay answered the WebSocket handshake with HTTP status {status}"
                return ConnectFailed(text, lasting=status not in _TEMPORARY)
            case NegotiationError():
                return RelayMisbehaved("the relay accepted a WebSocket extension that was not offered", "CB-CMP-003")
            case InvalidHeader() as error:
                return RelayMisbehaved(f"the relay's WebSocket handshake is invalid: {error}", "CB-WSK-001")
            case InvalidHandshake():
                return ConnectFailed("the other end is not a WebSocket server", lasting=True)
            case PayloadTooBig():
                return RelayMisbehaved("a message exceeds the maximum length", "CB-MSG-002")
            case error:
                return RelayMisbehaved(f"an invalid WebSocket frame: {error}", "CB-WSK-002")


def authority(host: str, port: int) -> str:
    """Return host:port, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
