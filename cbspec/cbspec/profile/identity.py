"""The development identity: a CA, a secret and tenants that simulator and suite share by default.

It gives no protection, since the secret is public, and is the default for loopback addresses only.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

import platformdirs

from cbspec.errors import InputError
from cbspec.profile.target import Rate, Tenant

if TYPE_CHECKING:
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_Used = TypeVar("_Used")

DEVELOPMENT_SECRET: Final = "cbspec-development-secret-known-to-everyone"  # noqa: S105 - public on purpose
"""The HS256 secret of the development tokens."""

_RATE: Final = Rate(per_second=150.0, burst=20, scope="tenant")
_SIX: Final = ("", "-2", "-3", "-4", "-5", "-6")

DEVELOPMENT_TENANTS: Final[tuple[Tenant, ...]] = (
    Tenant("tenant-001"),
    Tenant("tenant-002"),
    *(Tenant(f"tenant-tunnels{suffix}", tunnel_limit=5) for suffix in _SIX),
    *(Tenant(f"tenant-connections{suffix}", connection_limit=4) for suffix in _SIX),
    *(Tenant(f"tenant-rate{suffix}", rate=_RATE) for suffix in (*_SIX, "-7", "-8", "-9")),
    Tenant("tenant-rate-fast", rate=Rate(per_second=600.0, burst=100, scope="tenant")),
    Tenant("tenant-addresses", allowed_addresses=("127.0.0.1/32", "::1/128")),
    Tenant("tenant-elsewhere", allowed_addresses=("192.0.2.0/24", "2001:db8::/32")),
    Tenant("tenant-inactive", active=False),
)
"""The tenants of a simulator without configuration: two without limits, and at least one for each kind of limit.

Several have the same limit, so that the cases about it can run at the same time; one has another rate, since a relay
may apply one rate to all.
"""

_GROUP_OR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LOCK_SECONDS: Final = 30.0


class IdentityError(InputError):
    """The development identity is unusable; the text names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class DevelopmentCA:
    """The development CA; `ca_file` is its certificate in PEM form."""

    ca_file: Path
    _authority: trustme.CA = field(repr=False)

    def issue(
        self, *names: str, not_before: datetime.datetime | None = None, not_after: datetime.datetime | None = None
    ) -> tuple[bytes, bytes]:
        """Issue a server certificate for host names and addresses; return its chain and its P-256 key in PEM form."""
        import trustme

        leaf = self._authority.issue_cert(
            *names, key_type=trustme.KeyType.ECDSA, not_before=not_before, not_after=not_after
        )
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return chain, leaf.private_key_pem.bytes()

    def signer(self) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
        """Return the CA's certificate and key, to issue other kinds of certificates."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self._authority.private_key_pem.bytes(), password=None)
        return x509.load_pem_x509_certificate(self._authority.cert_pem.bytes()), cast(
            "CertificateIssuerPrivateKeyTypes", key
        )


def state_directory() -> Path:
    """Return the folder of the identity: $CBSPEC_STATE_DIR, or the user's state directory."""
    named = os.environ.get("CBSPEC_STATE_DIR")
    return Path(named) if named else platformdirs.user_state_path("cbspec")


def development_ca() -> DevelopmentCA:
    """Return the development CA, which is created on first use. Raises IdentityError."""
    return _with_files(lambda certificate, key: DevelopmentCA(certificate, _load(certificate, key)))


def development_ca_file() -> Path:
    """Return the file of the development CA's certificate, without access to its key. Raises IdentityError."""
    return _with_files(lambda certificate, key: certificate)


def _with_files(use: Callable[[Path, Path], _Used]) -> _Used:
    folder = state_directory()
    certificate, key = folder / "ca.pem", folder / "private" / "ca.key"
    try:
        # The certificate is written last: if it exists, the key is complete.
        if not certificate.exists():
            _create(certificate, key)
        return use(certificate, key)
    except OSError as error:
        reason = error.strerror or str(error)
        raise IdentityError(
            f"{error.filename or folder}: {reason}; CBSPEC_STATE_DIR can name another directory"
        ) from None


def _create(certificate: Path, key: Path) -> None:
    import filelock
    import trustme

    key.parent.parent.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with filelock.FileLock(key.with_name("lock"), timeout=_LOCK_SECONDS):
            if certificate.exists():
                return
            authority = trustme.CA(
                organization_name="cbspec", organization_unit_name="development CA, for loopback only"
            )
            _write(key, authority.private_key_pem.bytes(), 0o600)
            _write(certificate, authority.cert_pem.bytes(), 0o644)
    except filelock.Timeout:
        held = f"another process has held the lock for {_LOCK_SECONDS:.0f} seconds"
        raise IdentityError(f"{certificate.parent}: {held}") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file atomically, with the permissions `mode` from the beginning."""
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    part.replace(path)


def _load(certificate: Path, key: Path) -> trustme.CA:
    # Imported on use: most commands verify with the CA's file, and trustme takes a tenth of a second.
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def unusable(file: Path, reason: str) -> IdentityError:
        return IdentityError(f"{file}: {reason}; delete {certificate}, and a new CA will be created")

    cert_pem = certificate.read_bytes()
    if not key.exists():
        raise unusable(key, "the development CA's key is missing")
    if key.stat().st_mode & _GROUP_OR_OTHERS:
        raise unusable(key, "others may read the development CA's key")
    key_pem = key.read_bytes()
    try:
        authority = x509.load_pem_x509_certificate(cert_pem)
    except ValueError:
        raise unusable(certificate, "not a certificate in PEM form") from None
    try:
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise unusable(key, "not a private key in PEM form") from None
    if private.public_key() != authority.public_key():
        raise unusable(key, f"not the key of {certificate}")
    if authority.not_valid_after_utc.timestamp() <= time.time():
        raise unusable(certificate, f"expired on {authority.not_valid_after_utc:%Y-%m-%d}")
    return trustme.CA.from_pem(cert_pem, key_pem)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: `localhost`, 127.0.0.0/8 or ::1, without a look-up of the name."""
    name = host.removeprefix("[").removesuffix("]")
    if name.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
