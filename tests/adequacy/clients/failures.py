"""Deviations: a client that hangs, crashes, or doesn't notice (CC-REF-005, 006, CC-BRK-009 to 012, CC-SIL, CC-LIF)."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable

from cbspec.protocol.messages import Answer, Auth, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client.errors import AnswerTimeout, ClientError, ConnectionLost, RelayError, RelayMisbehaved
from tests.adequacy.clients.base import BaseClient, Stopped
from tests.adequacy.clients.registry import deviation

_FOREVER = float("inf")


class _Waiting(BaseClient):
    """Waits for ever after the failures that `hangs` names."""

    def ask(self, message: Request) -> Answer:
        try:
            return super().ask(message)
        except ClientError as error:
            if self.hangs(message, error):
                time.sleep(3600)
            raise

    def hangs(self, message: Request, error: ClientError) -> bool:
        return False


@deviation(
    "CC-REF-005", "It waits for another answer after an error in answer to its hello.", "hello-server_unavailable"
)
class _HangsAfterRefusedHello(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(message, Hello) and isinstance(error, RelayError)


@deviation(
    "CC-REF-005",
    "It waits for another answer after an error in answer to its auth.",
    "auth-invalid_token",
    "auth-unknown-code",
)
class _HangsAfterRefusedAuth(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(message, Auth) and isinstance(error, RelayError)


@deviation(
    "CC-REF-005", 'It waits for another answer after the status "error" in answer to its auth.', "auth-status-error"
)
class _HangsAfterStatusError(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(message, Auth) and isinstance(error, RelayMisbehaved) and "status" in str(error)


@deviation(
    "CC-REF-005", "After rate_limit_exceeded it waits for room for ever, without a word.", "auth-rate_limit_exceeded"
)
class _HangsAfterRateLimit(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(error, RelayError) and error.code == "rate_limit_exceeded" and isinstance(message, Auth)


def _abort(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@deviation("CC-REF-006", "It aborts when it is refused.", "auth-invalid_token")
class _AbortsWhenRefused(BaseClient):
    def report(self, error: ClientError) -> None:
        super().report(error)
        if isinstance(error, RelayError):
            _abort(signal.SIGABRT)


@deviation("CC-REF-006", "It crashes on an answer that isn't UTF-8.", "auth-answer-not-utf-8")
class _CrashesOnBadUtf8(BaseClient):
    def report(self, error: ClientError) -> None:
        if isinstance(error, RelayMisbehaved) and "UTF-8" in str(error):
            _abort(signal.SIGSEGV)
        super().report(error)


@deviation("CC-REF-006", "It aborts when a tunnel is refused.", "tunnel_info-tenant_limit_exceeded")
class _AbortsWithoutTunnel(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        if isinstance(message, TunnelInfo) and isinstance(error, RelayError):
            _abort(signal.SIGABRT)
        return False


@deviation(
    "CC-BRK-012", "It ignores what it can't read, and waits for ever.", "auth-answer-not-json", "auth-answer-wrong-type"
)
class _HangsAfterNonsense(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(message, Auth) and isinstance(error, RelayMisbehaved)


@deviation(
    "CC-BRK-012",
    "It waits for ever for the tenant that its hello_response lacks.",
    "hello-answer-without-version",
    "hello-answer-wrong-type",
)
class _HangsAfterBadHello(_Waiting):
    def hangs(self, message: Request, error: ClientError) -> bool:
        return isinstance(message, Hello) and isinstance(error, RelayMisbehaved)


class _Deaf(BaseClient):
    """Stays up without a word when its connection is lost at a step."""

    def serve(self) -> None:
        try:
            super().serve()
        except ConnectionLost as error:
            if self.deaf(error):
                time.sleep(3600)
            raise

    def deaf(self, error: ConnectionLost) -> bool:
        return True


@deviation(
    "CC-BRK-009", "It doesn't notice when its connection ends.", "up-reset", "up-close", "auth-close", "hello-reset"
)
class _LossNotNoticed(_Deaf):
    pass


@deviation(
    "CC-BRK-009", "It doesn't notice when its connection is closed in place of the answer to its hello.", "hello-close"
)
class _CloseAfterHelloNotNoticed(_Deaf):
    def deaf(self, error: ConnectionLost) -> bool:
        return isinstance(self.session.asked, Hello)


@deviation("CC-BRK-009", "It notices a reset only, not a connection that is closed properly.", "up-close", "auth-close")
class _OnlyResetsNoticed(_Deaf):
    def deaf(self, error: ConnectionLost) -> bool:
        return "broke" not in str(error)


@deviation(
    "CC-BRK-009",
    "It sends no heartbeats, reads nothing once it is up, and so notices nothing.",
    "up-close",
    "up-reset",
    profile={"heartbeat_interval": None},
)
class _NothingReadWhenUp(BaseClient):
    def stay(self) -> None:
        time.sleep(3600)


class _Unheard(BaseClient):
    """Sends heartbeats, and doesn't wait for answers."""

    def beat(self) -> None:
        self.session.raw = []
        self.session.post(self.spelled(Heartbeat()))
        self.flush()
        self.check()


@deviation(
    "CC-BRK-010", "It sends heartbeats, and never looks for answers.", "silent-heartbeat",
    also=("CC-REF-004", "CC-REF-008", "CC-BRK-011"),
)  # fmt: skip
class _HeartbeatsUnheard(_Unheard):
    pass


@deviation("CC-BRK-010", "It goes on when a heartbeat isn't answered in time.", "silent-heartbeat")
class _UnansweredHeartbeatsForgotten(BaseClient):
    def beat(self) -> None:
        if self.session.raw is None:
            self.patiently()
        else:
            self.session.post(self.spelled(Heartbeat()))
            self.flush()
            self.check()

    def patiently(self) -> None:
        self.session.request(Heartbeat())
        self.flush()
        deadline = time.monotonic() + self.interval
        while not self.session.answered and time.monotonic() < deadline:
            self.receive(deadline - time.monotonic())
            self.check()
        if self.session.answered:
            self.session.take_answer()
        else:
            self.session.raw = []


class _Patient(BaseClient):
    """Waits for ever for the answers to some requests, and for some handshakes."""

    patient: tuple[str, ...] = ()

    def ask(self, message: Request) -> Answer:
        usual = self.limit
        self.limit = _FOREVER if message.type in self.patient else usual
        try:
            return super().ask(message)
        finally:
            self.limit = usual

    def wait(self, happened: Callable[[], bool], seconds: float, late: Callable[[], ClientError]) -> None:
        super().wait(happened, seconds if self.session.ready or "handshake" not in self.patient else _FOREVER, late)


@deviation("CC-SIL-001", "It waits for ever for the TLS handshake.", "silent-handshake")
class _HandshakeForEver(_Patient):
    patient = ("handshake",)


@deviation("CC-SIL-002", "It waits for ever for the answer to its hello.", "silent-hello")
class _HelloForEver(_Patient):
    patient = ("hello",)


@deviation("CC-SIL-003", "It waits for ever for the answer to its auth.", "silent-auth")
class _AuthForEver(_Patient):
    patient = ("auth",)


@deviation("CC-SIL-003", "It waits ten times as long for the answer to its auth as its profile says.", "silent-auth")
class _AuthForTooLong(BaseClient):
    def authenticate(self) -> None:
        usual, self.limit = self.limit, 10 * self.limit
        super().authenticate()
        self.limit = usual


@deviation("CC-SIL-004", "It waits for ever for the answer to its tunnel_info.", "silent-tunnel_info")
class _TunnelForEver(_Patient):
    patient = ("tunnel_info",)


@deviation("CC-SIL-004", "It takes an unanswered tunnel_info for an open tunnel.", "silent-tunnel_info")
class _UnansweredTunnelClaimed(BaseClient):
    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        try:
            super().open_tunnel(tunnel)
        except AnswerTimeout:
            self.say(f"{tunnel.tunnel_id} is open")
            self.up()
            raise


@deviation("CC-LIF-001", "It ignores SIGTERM.", "clean")
class _SigtermIgnored(BaseClient):
    def on_sigterm(self, *_: object) -> None:
        return


@deviation(
    "CC-LIF-001",
    "It ends on SIGTERM only when it is idle, not while it waits for an answer.",
    "silent-auth",
    also=("CC-SIL-003",),
)
class _SigtermWaitsForAnswer(BaseClient):
    limit = 30.0
    asked_to_stop = False

    def on_sigterm(self, *_: object) -> None:
        self.asked_to_stop = True

    def listen(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.asked_to_stop:
                raise Stopped
            self.receive(min(left, 0.1))
            self.check()


@deviation("CC-LIF-001", "It says goodbye for a minute.", "clean")
class _LongGoodbye(BaseClient):
    def stopped(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        return super().stopped()


@deviation("CC-LIF-001", "While it waits to try again, it ignores SIGTERM.", "always-lost")
class _SigtermIgnoredInPauses(BaseClient):
    delays = (0.2, 40.0)

    def pause(self, seconds: float) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().pause(seconds)
        signal.signal(signal.SIGTERM, self.on_sigterm)
