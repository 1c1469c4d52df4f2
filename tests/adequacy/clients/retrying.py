"""Deviations: attempts that don't grow, don't end or are useless, and what a failure shows (CC-RTY, CC-REC, CC-ERR)."""

from __future__ import annotations

import time

from cbspec.protocol.messages import TunnelInfo
from cbspec_client.errors import ClientError, ConnectionLost, RelayError
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation

_BUSY = ("always-unavailable", "always-rate-limited")


# ------------------------------------------------------------------------------------------------ output
@deviation("CC-ERR-001", "It doesn't say the code of an error.", "auth-invalid_token", "hello-connection_limit_reached")
class _CodeNotShown(BaseClient):
    def report(self, error: ClientError) -> None:
        self.say("error: the relay refused" if isinstance(error, RelayError) else f"error: {error}")


@deviation("CC-ERR-001", "It says nothing when it is refused.", "auth-ip_not_allowed", "tunnel_info-tenant_not_found")
class _SilentWhenRefused(BaseClient):
    def report(self, error: ClientError) -> None:
        if not isinstance(error, RelayError):
            super().report(error)


@deviation("CC-ERR-001", "It says only the error's message, not its code.", "auth-tenant_not_found")
class _MessageWithoutCode(BaseClient):
    def report(self, error: ClientError) -> None:
        self.say(f"error: {error.message}" if isinstance(error, RelayError) else f"error: {error}")


@deviation("CC-ERR-002", "Its exit code is 0 after a refusal.", "auth-invalid_token")
class _ExitZeroWhenRefused(BaseClient):
    def exit_code(self, error: ClientError) -> int:
        return 0 if isinstance(error, RelayError) else 1


@deviation(
    "CC-ERR-002", "Its exit code is 0 after a failure that is no refusal.", "auth-answer-wrong-type", "auth-close"
)
class _ExitZeroWhenBroken(BaseClient):
    retries = 0

    def exit_code(self, error: ClientError) -> int:
        return 1 if isinstance(error, RelayError) else 0


@deviation("CC-ERR-002", "Its exit code is 0 when the certificate isn't trusted.", "certificate-unknown-ca")
class _ExitZeroWithoutTrust(BaseClient):
    retries = 0

    def exit_code(self, error: ClientError) -> int:
        return 0 if "trusted" in str(error) else 1


# ------------------------------------------------------------------------------------------------ retries
class _AfterRefusals(BaseClient):
    """Has delays of its own after refusals."""

    refused: tuple[float, ...] = ()
    many = 30

    def delay(self, attempt: int, error: ClientError) -> float:
        if not isinstance(error, RelayError):
            return super().delay(attempt, error)
        return self.refused[min(attempt, len(self.refused) - 1)]

    def worth_retrying(self, error: ClientError) -> bool:
        again = super().worth_retrying(error)
        self.retries = self.many if isinstance(error, RelayError) else BaseClient.retries
        return again


@deviation("CC-RTY-001", "It tries again after refusals every 0.4 seconds, five times.", *_BUSY)
class _ConstantDelay(_AfterRefusals):
    refused = (0.4,)
    many = 5

    def run(self) -> int:
        self.retries = self.many
        return super().run()


@deviation("CC-RTY-001", "It tries again at once, ten times.", *_BUSY)
class _NoDelay(_AfterRefusals):
    refused = (0.01,)
    many = 10

    def run(self) -> int:
        self.retries = self.many
        return super().run()


@deviation("CC-RTY-001", "Its delays after refusals shrink.", *_BUSY)
class _ShrinkingDelay(_AfterRefusals):
    refused = (1.6, 1.2, 0.9, 0.6, 0.4, 0.3, 0.2)
    many = 7

    def run(self) -> int:
        self.retries = self.many
        return super().run()


@deviation("CC-RTY-002", "It tries again for ever after refusals, with a cap on the delay.", *_BUSY)
class _RetriesWithoutEnd(_AfterRefusals):
    refused = (0.1, 0.2, 0.4, 0.8)
    many = 1000

    def run(self) -> int:
        self.retries = self.many
        return super().run()


class _TriesAgain(BaseClient):
    """Tries again after codes that say that it's useless."""

    useless: tuple[str, ...] = ()

    def worth_retrying(self, error: ClientError) -> bool:
        return super().worth_retrying(error) or (isinstance(error, RelayError) and error.code in self.useless)


@deviation("CC-RTY-003", "It tries again after invalid_token.", "auth-invalid_token")
class _InvalidTokenAgain(_TriesAgain):
    useless = ("invalid_token",)


@deviation("CC-RTY-003", "It sends its auth again on the same connection after invalid_token.", "auth-invalid_token")
class _SameTokenAgain(BaseClient):
    def authenticate(self) -> None:
        try:
            super().authenticate()
        except RelayError as error:
            if error.code != "invalid_token":
                raise
            time.sleep(0.2)
            super().authenticate()


@deviation("CC-RTY-004", "It tries again after tenant_not_found.", "auth-tenant_not_found")
class _TenantAgain(_TriesAgain):
    useless = ("tenant_not_found",)


@deviation("CC-RTY-005", "It tries again after ip_not_allowed.", "auth-ip_not_allowed", "hello-ip_not_allowed")
class _AddressAgain(_TriesAgain):
    useless = ("ip_not_allowed",)


@deviation("CC-RTY-006", "It tries again after invalid_tunnel_info.", "tunnel_info-invalid_tunnel_info")
class _TunnelInfoAgain(_TriesAgain):
    useless = ("invalid_tunnel_info",)


@deviation(
    "CC-RTY-007",
    "It tries again after unknown_message_type.",
    "hello-unknown_message_type",
    "auth-unknown_message_type",
)
class _UnknownTypeAgain(_TriesAgain):
    useless = ("unknown_message_type",)


# ------------------------------------------------------------------------------------------------ reconnection
@deviation("CC-REC-001", "It says that its connection is lost, and stays up without one.", "up-reset", "auth-close")
class _StaysWithoutConnection(BaseClient):
    def serve(self) -> None:
        try:
            super().serve()
        except ConnectionLost as error:
            self.report(error)
            time.sleep(3600)


@deviation("CC-REC-002", "It reconnects every 0.3 seconds for ever.", "always-lost")
class _ReconnectsAtAConstantRate(BaseClient):
    retries = 1000

    def delay(self, attempt: int, error: ClientError) -> float:
        return super().delay(attempt, error) if isinstance(error, RelayError) else 0.3


@deviation("CC-REC-002", "It reconnects at once, for ever.", "always-lost")
class _ReconnectsAtOnce(BaseClient):
    retries = 1000

    def delay(self, attempt: int, error: ClientError) -> float:
        return super().delay(attempt, error) if isinstance(error, RelayError) else 0.02


@deviation(
    "CC-REC-002", "It counts its attempts anew whenever TCP is connected, so that its delays never grow.", "always-lost"
)
class _CountBeginsAnew(BaseClient):
    held = 0.0

    def delay(self, attempt: int, error: ClientError) -> float:
        return 0.2 if not isinstance(error, RelayError) else super().delay(attempt, error)


@deviation("CC-REC-003", "After a reconnection it doesn't open its tunnels again.", "up-reset", "up-close")
class _TunnelsNotReopened(BaseClient):
    def open_tunnels(self) -> None:
        if self.connections == 1:
            super().open_tunnels()


@deviation("CC-REC-003", "After a reconnection it only says hello.", "up-reset")
class _OnlyHelloAgain(BaseClient):
    def authenticate(self) -> None:
        if self.connections == 1:
            super().authenticate()

    def open_tunnels(self) -> None:
        if self.connections == 1:
            super().open_tunnels()

    def beat(self) -> None:
        if self.connections == 1:
            super().beat()


@deviation("CC-REC-003", "It opens only the first of its tunnels again.", "up-close")
class _OneTunnelReopened(BaseClient):
    tunnels = 2

    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        if self.connections == 1 or tunnel.tunnel_id == "tunnel-1":
            super().open_tunnel(tunnel)


@deviation("CC-REC-004", "It leaves its old connection open when it reconnects.", "silent-heartbeat")
class _OldConnectionLeft(BaseClient):
    def disconnect(self) -> None:
        self.left = [*getattr(self, "left", []), getattr(self, "socket", None)]
