"""A client's session without I/O: bytes in, answers out; requests in, bytes out.

TLS, transport and protocol are stacked here; an edge carries the bytes (`link.py`: asyncio). Failures of any layer come
out as exceptions of the one family in `errors.py`; what wants to go out nevertheless (a TLS alert) is in
`data_to_send()`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from websockets.exceptions import InvalidHandshake, InvalidHeader, InvalidStatus, NegotiationError, PayloadTooBig

from cbspec.protocol.connection import AnswerReceived, Connection, LocalProtocolError, RemoteProtocolError, read_frame
from cbspec.protocol.framing import Frame, StreamFramer
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
from cbspec.tokens.jws import Compact
from cbspec_client.errors import (
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
)


class Transport(StrEnum):
    """How messages travel inside TLS."""

    TCP = "tcp"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Passed:
    """A message that passed: its text as on the wire, and what it was read as (None: nothing valid).

    `binary` is whether it came in a WebSocket's binary message, `faulty` whether its frame broke a rule that only a
    stricter end than ours looks for. The text may hold a token, so it is in no repr.
    """

    sent: bool
    text: bytes = field(repr=False)
    message: Message | None
    binary: bool = False
    faulty: bool = False


class ClientSession:
    """The client's end of one connection.

    Arguments: `context` offers TLS 1.3 and says whom to trust, `server_name` is who the certificate must be for,
    `authority` (host and port) and `path` are for the WebSocket handshake, `exchange` is called with each message that
    passes, `websocket` is the client's end of a WebSocket. Raises Misuse where a name can't be one.
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
            raise Misuse(f"{server_name!r} can't be the name of a server") from None
        self._websocket: WebSocketFramer | None = None
        if transport is Transport.WEBSOCKET:
            if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
                raise Misuse(f"{path!r} can't be a path; it begins with '/' and holds no space")
            self._websocket = websocket.client(authority or server_name, path)
        self._connection = Connection(Role.CLIENT, self._websocket or StreamFramer(), read=self._read)
        self._exchange = exchange
        self._token = ""
        self._answer: Answer | None = None
        self._unasked: Error | None = None
        self._said_goodbye = False

    @property
    def state(self) -> State:
        """How far the session has come."""
        return self._connection.state

    @property
    def ready(self) -> bool:
        """Whether requests can be sent: the handshakes are done."""
        return self._tls.established and (self._websocket is None or self._websocket.opened)

    @property
    def answered(self) -> bool:
        """Whether the answer to the request is there."""
        return self._answer is not None

    @property
    def finished(self) -> bool:
        """Whether, after `close`, nothing more need be waited for."""
        return self._websocket is None or not self._websocket.opened or self._websocket.finished

    def take_answer(self) -> Answer:
        """Return the answer to the request; ask `answered` first."""
        answer, self._answer = self._answer, None
        assert answer is not None  # noqa: S101 - `answered` said so
        return answer

    def take_unasked(self) -> Error | None:
        """Return the first error that came unasked since the last call, if one did."""
        error, self._unasked = self._unasked, None
        return error

    def request(self, message: Request) -> None:
        """Send a request; its bytes are in `data_to_send()`.

        Raises Misuse where it isn't valid or not in its place, and sends nothing then.
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
        """Take bytes from the relay.

        Raises ClientError where the connection can't go on; an answer that came before that is there all the same.
        """
        try:
            plain = self._tls.receive_data(data)
            if plain:
                self._messages(plain)
                self._tls.receive_data(b"")  # a failure behind the plain text is raised by the next call
        except TlsFailed as error:
            raise self._tls_failure(error) from None
        failure = self._websocket_failure()
        if failure is None and self._tls.ended:
            failure = self.receive_eof()
        if failure is not None:
            raise failure

    def read_on(self) -> None:
        """Read what is there already behind a message that broke the protocol; raises as `receive_data` does."""
        self._events()

    def receive_eof(self) -> ClientError:
        """Take note that nothing more will come; return what that means."""
        if not self._tls.established:
            return TlsRefused("the other end closed the connection during the TLS handshake")
        if not self.ready:
            return ConnectFailed("the relay closed the connection during the WebSocket handshake")
        clean = self._connection.receive_end().clean
        return ConnectionLost(f"the relay closed the connection{'' if clean else ' before it had answered'}")

    def close(self) -> None:
        """Begin to end the session; when `finished`, say `goodbye`."""
        if self._websocket is not None:
            self._websocket.close()

    def goodbye(self) -> None:
        """End the session; nothing can be sent after it."""
        self.close()
        self._pump()
        self._said_goodbye = True
        self._tls.close()

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go to the relay."""
        self._pump()
        return self._tls.data_to_send()

    def _pump(self) -> None:
        wire = self._websocket.data_to_send() if self._websocket else b""
        if wire and not self._said_goodbye:
            self._tls.send(wire)

    def _messages(self, plain: bytes) -> None:
        self._connection.receive_data(plain)
        self._events()

    def _events(self) -> None:
        try:
            while (event := self._connection.next_event()) is not None:
                if isinstance(event, AnswerReceived):
                    self._take(event)
        except RemoteProtocolError as error:
            raise RelayMisbehaved(str(error), error.requirement) from None

    def _take(self, event: AnswerReceived) -> None:
        answer = event.answer
        if isinstance(answer, Error) and self._token:
            # A relay may repeat the token; error texts end in logs.
            answer = replace(answer, message=answer.message.replace(self._token, "***"))
        if event.request is None:
            assert isinstance(answer, Error)  # noqa: S101 - nothing else comes unasked
            self._unasked = self._unasked or answer
            return
        if isinstance(answer, AuthResponse) and isinstance(event.request, Auth):
            tenant = claimed_tenant(event.request.token)
            if tenant is not None and tenant != answer.tenant_id:
                raise RelayMisbehaved("an auth_response for another tenant than the token's", "CB-AUT-003")
        self._answer = answer

    def _read(self, frame: Frame, sender: Role) -> Message | Violation:
        found = read_frame(frame, sender)
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
                return ConnectFailed(
                    f"the relay answered the WebSocket handshake with HTTP status {response.status_code}"
                )
            case NegotiationError():
                return RelayMisbehaved("the relay accepted a WebSocket extension that wasn't offered", "CB-CMP-003")
            case InvalidHeader() as error:
                return RelayMisbehaved(f"the relay's WebSocket handshake is wrong: {error}", "CB-WSK-001")
            case InvalidHandshake():
                return ConnectFailed("the other end doesn't answer as a WebSocket server")
            case PayloadTooBig():
                return RelayMisbehaved("a message is longer than may be read", "CB-MSG-002")
            case error:
                return RelayMisbehaved(f"a wrong WebSocket frame: {error}", "CB-WSK-002")


def authority(host: str, port: int) -> str:
    """Return host and port as one text, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def claimed_tenant(token: str) -> str | None:
    """Return the tenant_id that a token claims, unverified; None where it claims none that can be read."""
    try:
        tenant = Compact.split(token).claims.get("tenant_id")
    except ValueError:
        return None
    return tenant if isinstance(tenant, str) else None
