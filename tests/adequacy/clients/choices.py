"""Open points: choices that the specification leaves to a client, which are observed, and never a failure."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from typing import Self

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.uri import parse_uri

from cbspec.protocol.connection import read_message
from cbspec.protocol.framing import MAX_MESSAGE, RawMessage
from cbspec.protocol.messages import Auth, Hello, Message, Role, TunnelInfo, Violation
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_client.errors import ClientError, RelayError, RelayMisbehaved
from cbspec_client.session import Transport
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import open_point
from tests.adequacy.clients.wire import WireBytes, split_frames

_LIMITS = ("connection_limit_reached", "tenant_limit_exceeded", "buffer_pool_exhausted")


@open_point("CC-RTY-101", "It tries again when a limit is reached.")
class _LimitsRetried(BaseClient):
    def worth_retrying(self, error: ClientError) -> bool:
        return super().worth_retrying(error) or (isinstance(error, RelayError) and error.code in _LIMITS)


@open_point("CC-RTY-101", "It tries its auth again on the same connection when the rate limit is exceeded.")
class _RetriesInPlace(BaseClient):
    def authenticate(self) -> None:
        for pause in (0.1, 0.3, 0.9):
            try:
                super().authenticate()
            except RelayError as error:
                if error.code != "rate_limit_exceeded":
                    raise
                self.report(error)
                time.sleep(pause)
            else:
                return
        super().authenticate()


@open_point("CC-RTY-101", "It tries nothing again after a refusal, but reconnects after a loss.")
class _RefusalsFinal(BaseClient):
    def worth_retrying(self, error: ClientError) -> bool:
        return not isinstance(error, RelayError)


@open_point("CC-REF-101", "It stays up when a tunnel is refused.")
class _StaysWithoutTunnel(BaseClient):
    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        try:
            super().open_tunnel(tunnel)
        except RelayError as error:
            self.report(error)
            self.say("going on without it")

    def up(self) -> None:
        pass


@open_point("CC-REF-101", "It stays up with the tunnels that are open, and tries the others again later.")
class _TunnelTriedLater(_StaysWithoutTunnel):
    tunnels = 2


@open_point("CC-REC-101", "It reconnects for ever, with a cap on the delay.")
class _ReconnectsForEver(BaseClient):
    delays = (0.2, 0.4, 0.8, 1.6)  # the cap shows within the time of the situation

    def run(self) -> int:
        self.retries = 10_000
        return super().run()

    def worth_retrying(self, error: ClientError) -> bool:
        self.retries = 3 if isinstance(error, RelayError) else 10_000
        return super().worth_retrying(error)


@open_point("CC-BRK-101", "It ignores a byte order mark.")
class _BomIgnored(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        bom = b"\xef\xbb\xbf"
        return (
            read_message(RawMessage(text[3:]), Role.RELAY) if text.startswith(bom) else super().understood(text, found)
        )


@open_point("CC-BRK-101", "It takes the first object of an array for the answer.")
class _ArraysUnderstood(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        if not text.startswith(b"["):
            return super().understood(text, found)
        return read_message(RawMessage(json.dumps(json.loads(text)[0]).encode()), Role.RELAY)


@open_point("CC-HEL-101", "It says hello with the version 1.1.")
class _OtherVersion(BaseClient):
    version = "1.1"


@open_point("CC-HEL-101", "It names features of its own.")
class _OwnFeatures(BaseClient):
    features = ("tls", "heartbeat", "x-compression", "größer")


@open_point("CC-HEL-101", "It says hello twice.")
class _HelloTwice(BaseClient):
    def greet(self) -> None:
        super().greet()
        self.ask(Hello(self.version, self.features))


@open_point("CC-HBT-101", "It sends a heartbeat before it authenticates.")
class _EarlyHeartbeat(BaseClient):
    def greet(self) -> None:
        super().greet()
        self.swap(b'{"type":"heartbeat"}')


@open_point("CC-TLS-101", "It offers protocols by ALPN.", websocket=False)
class _Alpn(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.set_alpn_protocols(["cloudbridge/2", "http/1.1"])
        return context


@open_point("CC-TUN-101", "It opens five tunnels.")
class _FiveTunnels(BaseClient):
    tunnels = 5


@open_point("CC-TOL-101", "It gives up answers of more than 64 kB.")
class _AtMost64Kb(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        if len(text) > 65536:
            raise RelayMisbehaved("the answer is too long", "CB-MSG-002")
        return super().understood(text, found)


@open_point("CC-TOL-102", "It ignores errors that answer nothing.")
class _UnsolicitedErrorsIgnored(BaseClient):
    def check(self) -> None:
        self.session.take_unsolicited()
        super().check()


@open_point("CC-LIF-101", "It ends with its last heartbeat after two seconds.", profile={"heartbeat_interval": None})
class _EndsAfterTwoSeconds(BaseClient):
    retries = 0

    def stay(self) -> None:
        for _ in range(3):
            self.listen(self.interval)
            self.beat()


@open_point("CC-WSK-101", "It sends pings of its own.", websocket=True)
class _OwnPings(BaseClient):
    def beat(self) -> None:
        super().beat()
        self.session.framer.protocol.send_ping(b"anyone there")  # type: ignore[union-attr]
        self.flush()


@open_point("CC-WSK-101", "It sends its messages in fragments.", websocket=True)
class _OwnFragments(BaseClient):
    def on_wire(self, data: bytes) -> bytes:
        if data.startswith(b"GET "):
            return super().on_wire(data)
        made: list[bytes] = []
        for frame in split_frames(data):
            if frame.opcode != Opcode.TEXT or len(frame.payload) < 6:
                made.append(bytes(frame))
                continue
            made.append(bytes(WireBytes(Opcode.TEXT, frame.mask, frame.payload[:5])))
            made.append(bytes(WireBytes(0x80, frame.mask[::-1] if frame.mask else None, frame.payload[5:])))
        return super().on_wire(b"".join(made))


@open_point("CC-WSK-101", "It offers a subprotocol.", websocket=True)
class _OwnSubprotocol(BaseClient):
    def on_wire(self, data: bytes) -> bytes:
        if data.startswith(b"GET "):
            data = data[:-2] + b"Sec-WebSocket-Protocol: cloudbridge.v2\r\n\r\n"
        return super().on_wire(data)


class _Deflating(WebSocketFramer):
    """Offers permessage-deflate, and uses it if the relay accepts it."""

    __slots__ = ()

    @classmethod
    def client(
        cls, host: str, path: str = "/", *, max_message: int = MAX_MESSAGE, headers: Mapping[str, str] | None = None
    ) -> Self:
        uri = parse_uri(f"wss://{host}{path}")
        protocol = ClientProtocol(uri, max_size=max_message, extensions=[ClientPerMessageDeflateFactory()])
        request = protocol.connect()
        request.headers.update(headers or {})
        protocol.send_request(request)
        return cls(protocol)


@open_point("CC-WSK-101", "It offers permessage-deflate.", websocket=True)
class _OffersDeflate(BaseClient):
    websocket_framer = _Deflating


@open_point("CC-LIF-101", "It replaces its connection by a new one every two seconds.")
class _RotatesConnections(BaseClient):
    def stay(self) -> None:
        for _ in range(3):
            self.listen(self.interval)
            self.beat()

    def serve(self) -> None:
        while True:
            super().serve()


@open_point("CC-LIF-101", "It has a second connection, without tunnels, at the same time.")
class _TwoConnections(BaseClient):
    second: BaseClient | None = None

    def open_tunnels(self) -> None:
        self.second = BaseClient(
            self.host, self.port, self.ca, self.token, local_port=0, websocket=self.transport is Transport.WEBSOCKET
        )
        self.second.connect()
        self.second.greet()
        self.second.ask(Auth(self.token))
        super().open_tunnels()

    def disconnect(self) -> None:
        if self.second is not None:
            self.second.disconnect()
        super().disconnect()


@open_point("CC-TUN-101", "It opens its tunnel after its first heartbeat.")
class _TunnelOpenedLate(BaseClient):
    def open_tunnels(self) -> None:
        self.listen(self.interval)
        self.beat()
        super().open_tunnels()


@open_point("CC-LIF-101", "It prints a line of progress every tenth of a second while it waits.")
class _ShowsProgress(BaseClient):
    def listen(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.say(f"waiting for {left:.1f} s more")
            super().listen(min(0.1, left))
