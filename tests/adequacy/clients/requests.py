"""Deviations: requests that a client may not send, or not so (CC-HEL, CC-AUT, CC-TUN, CC-HBT, CC-MSG, CC-TOK)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from types import MappingProxyType

from cbspec.protocol.messages import AuthResponse, Heartbeat, Hello, Message, Request, TunnelInfo, Violation
from cbspec_client.errors import AnswerTimeout, ClientError
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation


class _Tries(BaseClient):
    """Sends texts of its own at a step, whose answers it ignores."""

    before_hello: tuple[bytes, ...] = ()
    before_auth: tuple[bytes, ...] = ()
    when_up: tuple[bytes, ...] = ()

    def greet(self) -> None:
        self.try_(self.before_hello)
        super().greet()
        self.try_(self.before_auth)

    def up(self) -> None:
        self.try_(self.when_up)
        super().up()

    def try_(self, texts: tuple[bytes, ...]) -> None:
        for text in texts:
            self.swap(text)


# ------------------------------------------------------------------------------------------------ hello
@deviation("CC-HEL-001", "It sends a heartbeat before its hello.", "clean")
class _HeartbeatFirst(_Tries):
    before_hello = (b'{"type":"heartbeat"}',)


@deviation("CC-HEL-001", "On a reconnection it tries to authenticate without a hello.", "up-reset")
class _AuthFirstOnReconnection(BaseClient):
    def greet(self) -> None:
        if self.connections > 1:
            self.swap(json.dumps({"type": "auth", "token": self.token}).encode())
        super().greet()


@deviation("CC-HEL-002", "Its hello has its version as a number; it has another one, if that is refused.", "clean")
class _HelloVersionNumber(_Tries):
    before_auth = (b'{"type":"hello","version":1.0,"features":["tls"]}',)


@deviation("CC-HEL-002", "Its hello names its features in one string.", "clean")
class _HelloFeaturesString(_Tries):
    before_auth = (b'{"type":"hello","version":"1.0","features":"tls,heartbeat"}',)


@deviation("CC-HEL-002", "Its hello has no features.", "clean")
class _HelloWithoutFeatures(_Tries):
    before_auth = (b'{"type":"hello","version":"1.0"}',)


# ------------------------------------------------------------------------------------------------ auth
@deviation("CC-AUT-001", "Its auth has the token under another name first.", "clean")
class _AuthWithoutToken(_Tries):
    before_auth = (b'{"type":"auth","jwt":"none yet"}',)


@deviation("CC-AUT-001", "Its auth has null as the token first.", "clean")
class _AuthTokenNull(_Tries):
    before_auth = (b'{"type":"auth","token":null}',)


@deviation("CC-AUT-002", "It tries to open its tunnel before it authenticates.", "clean")
class _TunnelBeforeAuth(BaseClient):
    def authenticate(self) -> None:
        self.swap(self.spelled(self.tunnel(0)))
        super().authenticate()


# ------------------------------------------------------------------------------------------------ tunnels
class _TunnelTried(BaseClient):
    """Tries a wrong tunnel_info first."""

    wrong: Mapping[str, object] = MappingProxyType({})
    without = ""

    def open_tunnels(self) -> None:
        right = json.loads(self.spelled(self.tunnel(0)))
        body = {**right, **self.wrong}
        body.pop(self.without, None)
        self.swap(json.dumps(body).encode())
        super().open_tunnels()


@deviation("CC-TUN-001", "Its tunnel_info has a port in a string.", "clean")
class _PortAsText(_TunnelTried):
    wrong = MappingProxyType({"remote_port": "3389"})


@deviation("CC-TUN-001", "Its tunnel_info has a port over 65535.", "clean")
class _PortTooLarge(_TunnelTried):
    wrong = MappingProxyType({"local_port": 70000})


@deviation("CC-TUN-001", "Its tunnel_info has a fraction as a port.", "clean")
class _PortWithFraction(_TunnelTried):
    wrong = MappingProxyType({"remote_port": 3389.5})


@deviation("CC-TUN-001", "Its tunnel_info has no remote_host.", "clean")
class _NoRemoteHost(_TunnelTried):
    without = "remote_host"


@deviation("CC-TUN-001", "Its tunnel_info has no tenant_id.", "clean")
class _NoTenant(_TunnelTried):
    without = "tenant_id"


@deviation("CC-TUN-001", "Its tunnel_info has a number as tunnel_id.", "clean")
class _TunnelNumber(_TunnelTried):
    wrong = MappingProxyType({"tunnel_id": 7})


@deviation("CC-TUN-002", "It tries another tenant's tunnel.", "clean")
class _AnotherTenant(_TunnelTried):
    wrong = MappingProxyType({"tenant_id": "tenant-002"})


@deviation("CC-TUN-002", "It believes the tenant_id of the auth_response.", "other-tenant", also=("CC-AUT-003",))
class _TenantBelieved(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        read = super().understood(text, found)
        if not isinstance(read, AuthResponse):
            return read
        self.believed = read.tenant_id
        return self.success()

    def tunnel(self, number: int) -> TunnelInfo:
        plain = super().tunnel(number)
        return TunnelInfo(plain.tunnel_id, self.believed, plain.local_port, plain.remote_host, plain.remote_port)


# ------------------------------------------------------------------------------------------------ heartbeat
@deviation("CC-HBT-001", "It sends no heartbeats, which it has promised.", "clean")
class _NoHeartbeats(BaseClient):
    def stay(self) -> None:
        self.listen(float("inf"))


@deviation("CC-HBT-001", "It sends its heartbeats five times as seldom as promised.", "clean")
class _SeldomHeartbeats(BaseClient):
    interval = 3.5


@deviation("CC-HBT-001", "It sends one heartbeat only.", "clean")
class _OneHeartbeat(BaseClient):
    def stay(self) -> None:
        self.listen(self.interval)
        self.beat()
        self.listen(float("inf"))


@deviation("CC-HBT-002", "It sends a heartbeat every 20 ms.", "clean", profile={"heartbeat_interval": None})
class _Storm(BaseClient):
    interval = 0.02


@deviation("CC-HBT-002", "It sends a burst of 15 heartbeats with each interval.", "clean")
class _Bursts(BaseClient):
    def beat(self) -> None:
        for _ in range(15):
            super().beat()


# ------------------------------------------------------------------------------------------------ messages
@deviation("CC-MSG-001", "It sends a message in Latin-1.", "clean")
class _Latin1(_Tries):
    when_up = ('{"type":"heartbeat","note":"größer"}'.encode("latin-1"),)


@deviation("CC-MSG-001", "It sends a message with single quotes.", "clean")
class _SingleQuotesSent(_Tries):
    when_up = (b"{'type':'heartbeat'}",)


@deviation("CC-MSG-001", "It sends a message with a comma after its last member.", "clean")
class _TrailingComma(_Tries):
    when_up = (b'{"type":"heartbeat",}',)


@deviation("CC-MSG-001", "It sends NaN, which JSON doesn't have.", "clean")
class _NotANumber(_Tries):
    when_up = (b'{"type":"heartbeat","load":NaN}',)


@deviation("CC-MSG-001", "It compresses a message.", "clean", websocket=True)
class _Compressed(_Tries):
    when_up = (zlib.compress(b'{"type":"heartbeat"}'),)


@deviation("CC-MSG-002", "It sends a message of a type of its own.", "clean")
class _OwnType(_Tries):
    when_up = (b'{"type":"get_status"}',)


@deviation("CC-MSG-002", "It writes a type in capitals.", "clean")
class _TypeInCapitals(_Tries):
    when_up = (b'{"type":"HEARTBEAT"}',)


@deviation("CC-MSG-002", "It sends a message in an array.", "clean")
class _Array(_Tries):
    when_up = (b'[{"type":"heartbeat"}]',)


@deviation("CC-MSG-002", "It sends a relay's message.", "clean")
class _RelaysMessage(_Tries):
    when_up = (b'{"type":"heartbeat_response"}',)


class _AtOnce(BaseClient):
    """Sends two texts at once, and reads both answers."""

    def both(self, first: bytes, second: bytes) -> None:
        frames: list[bytes] = []
        self.session.raw = frames
        self.session.post(first)
        self.session.post(second)
        self.flush()
        self.wait(lambda: len(frames) == 2, self.limit, lambda: AnswerTimeout("no answer"))
        self.session.raw = None


@deviation("CC-MSG-003", "It sends two tunnel_infos without waiting.", "clean")
class _TunnelsAtOnce(_AtOnce):
    tunnels = 2

    def open_tunnels(self) -> None:
        self.both(self.spelled(self.tunnel(0)), self.spelled(self.tunnel(1)))


@deviation("CC-MSG-003", "It sends heartbeats in pairs.", "clean")
class _HeartbeatsInPairs(_AtOnce):
    def beat(self) -> None:
        self.both(self.spelled(Heartbeat()), self.spelled(Heartbeat()))


@deviation("CC-MSG-004", "Its hello has two different versions.", "clean")
class _TwoVersions(BaseClient):
    def spelled(self, message: Request) -> bytes:
        text = super().spelled(message)
        return text.replace(b'"version"', b'"version": "0.9", "version"') if isinstance(message, Hello) else text


@deviation("CC-MSG-004", "Its tunnel_info has two different ports.", "clean")
class _TwoPorts(BaseClient):
    def spelled(self, message: Request) -> bytes:
        text = super().spelled(message)
        return text.replace(b'"remote_port"', b'"remote_port": 22, "remote_port"')


# ------------------------------------------------------------------------------------------------ token
class _WithToken(BaseClient):
    """Puts its token into another request."""

    leaking = ""

    def spelled(self, message: Request) -> bytes:
        body = json.loads(super().spelled(message))
        if message.type == self.leaking:
            body["token"] = self.token
        return json.dumps(body).encode()


@deviation("CC-TOK-001", "Its hello has the token, too.", "clean")
class _TokenInHello(_WithToken):
    leaking = "hello"


@deviation("CC-TOK-001", "Its heartbeats have the token, too.", "clean")
class _TokenInHeartbeats(_WithToken):
    leaking = "heartbeat"


@deviation("CC-TOK-001", "Its tunnel_infos have the token, too.", "clean")
class _TokenInTunnels(_WithToken):
    leaking = "tunnel_info"


@deviation("CC-TOK-001", "The path of its upgrade request has the token.", "clean", websocket=True)
class _TokenInPath(BaseClient):
    def connect(self) -> None:
        self.path = f"/?token={self.token}"
        super().connect()


@deviation("CC-TOK-001", "A header of its upgrade request has the token.", "clean", websocket=True)
class _TokenInHeader(BaseClient):
    def on_wire(self, data: bytes) -> bytes:
        if data.startswith(b"GET "):
            data = data[:-2] + f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        return super().on_wire(data)


@deviation("CC-TOK-002", "It prints its configuration at its start, with the token.", "clean")
class _TokenPrinted(BaseClient):
    def prepare(self) -> None:
        super().prepare()
        self.say(f"configuration: host={self.host} port={self.port} token={self.token}")


@deviation("CC-TOK-002", "It prints the token when it is refused.", "auth-invalid_token")
class _TokenInErrors(BaseClient):
    def report(self, error: ClientError) -> None:
        self.say(f"error: {error} (with the token {self.token})")


@deviation("CC-TOK-002", "It prints every message that it sends, with the token.", "clean")
class _MessagesPrinted(BaseClient):
    def spelled(self, message: Request) -> bytes:
        text = super().spelled(message)
        self.say(f"-> {text.decode()}")
        return text
