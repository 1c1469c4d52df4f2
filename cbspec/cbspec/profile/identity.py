"""The development identity: a CA, a secret and tenants that simulator and suite agree on without being told.

None of it protects anything: the secret stands in this file. It applies by itself to loopback addresses only.
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
from typing import Final, TypeVar, cast

import filelock
import platformdirs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cbspec.profile.target import Rate, Tenant

_Used = TypeVar("_Used")

DEVELOPMENT_SECRET: Final = "cbspec-development-secret-known-to-everyone"  # noqa: S105 - public on purpose
"""The HS256 secret of the development tokens."""

_RATE: Final = Rate(per_second=150.0, burst=20, scope="tenant")

DEVELOPMENT_TENANTS: Final[tuple[Tenant, ...]] = (
    Tenant("tenant-001"),
    Tenant("tenant-002"),
    Tenant("tenant-tunnels", tunnel_limit=5),
    Tenant("tenant-connections", connection_limit=4),
    *(Tenant(f"tenant-rate{suffix}", rate=_RATE) for suffix in ("", "-2", "-3", "-4", "-5", "-6")),
    Tenant("tenant-addresses", allowed_addresses=("127.0.0.1/32", "::1/128")),
    Tenant("tenant-elsewhere", allowed_addresses=("192.0.2.0/24", "2001:db8::/32")),
    Tenant("tenant-inactive", active=False),
)
"""The tenants of a simulator that was told nothing: the first for ordinary work, one for each kind of limit.

Several have the same rate: a case that needs a fresh one needn't wait until what another case used is forgotten.
"""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LOCK_SECONDS: Final = 30.0


class IdentityError(Exception):
    """The development identity can't be had; the text names the file and the way out."""


@dataclass(frozen=True, slots=True)
class DevelopmentCA:
    """The development CA: `ca_file` is its certificate, for whoever is to trust it."""

    ca_file: Path
    _authority: trustme.CA = field(repr=False)

    def issue(
        self,
        *names: str,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> tuple[bytes, bytes]:
        """Issue a server certificate for host names and addresses: its chain and its P-256 key, both PEM."""
        leaf = self._authority.issue_cert(
            *names, key_type=trustme.KeyType.ECDSA, not_before=not_before, not_after=not_after
        )
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return chain, leaf.private_key_pem.bytes()

    def signer(self) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
        """Give the CA's certificate and key, for who issues a certificate of another kind."""
        key = load_pem_private_key(self._authority.private_key_pem.bytes(), password=None)
        return x509.load_pem_x509_certificate(self._authority.cert_pem.bytes()), cast(
            CertificateIssuerPrivateKeyTypes, key
        )


def state_directory() -> Path:
    """Say where the identity is kept: $CBSPEC_STATE_DIR, or else the user's state directory."""
    named = os.environ.get("CBSPEC_STATE_DIR")
    return Path(named) if named else platformdirs.user_state_path("cbspec")


def development_ca() -> DevelopmentCA:
    """Give the development CA, made when it is first asked for; `IdentityError` where that fails."""
    return _authority(lambda certificate, key: DevelopmentCA(certificate, _load(certificate, key)))


def development_ca_file() -> Path:
    """Give the file of the development CA's certificate, for who only trusts it; it is made as by `development_ca`."""
    return _authority(lambda certificate, key: certificate)


def _authority(use: Callable[[Path, Path], _Used]) -> _Used:
    folder = state_directory()
    certificate, key = folder / "ca.pem", folder / "private" / "ca.key"
    try:
        # The certificate is put in place last: where it is, the key is whole.
        if not certificate.exists():
            _make(certificate, key)
        return use(certificate, key)
    except filelock.Timeout:
        raise IdentityError(f"{folder}: another process has held the lock for {_LOCK_SECONDS:.0f} seconds") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise IdentityError(
            f"{error.filename or folder}: {reason}; CBSPEC_STATE_DIR can name another directory"
        ) from None


def _make(certificate: Path, key: Path) -> None:
    key.parent.parent.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(mode=0o700, exist_ok=True)
    with filelock.FileLock(key.with_name("lock"), timeout=_LOCK_SECONDS):
        if certificate.exists():
            return
        authority = trustme.CA(organization_name="cbspec", organization_unit_name="development CA, for loopback only")
        _put(key, authority.private_key_pem.bytes(), 0o600)
        _put(certificate, authority.cert_pem.bytes(), 0o644)


def _put(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place as a whole, never readable by more than `mode` allows."""
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
    way_out = f"delete {certificate}, and it will be made anew"
    cert_pem = certificate.read_bytes()
    if not key.exists():
        raise IdentityError(f"{key}: the development CA's key is missing; {way_out}")
    if key.stat().st_mode & _OTHERS:
        raise IdentityError(f"{key}: others may read the development CA's key; {way_out}")
    key_pem = key.read_bytes()
    try:
        x509_certificate = x509.load_pem_x509_certificate(cert_pem)
        ends = x509_certificate.not_valid_after_utc
    except ValueError:
        raise IdentityError(f"{certificate}: not a certificate in PEM form; {way_out}") from None
    try:
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise IdentityError(f"{key}: not a private key in PEM form; {way_out}") from None
    if private.public_key() != x509_certificate.public_key():
        raise IdentityError(f"{key}: not the key of {certificate}; {way_out}")
    if ends.timestamp() <= time.time():
        raise IdentityError(f"{certificate}: expired on {ends:%Y-%m-%d}; {way_out}")
    return trustme.CA.from_pem(cert_pem, key_pem)


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine: `localhost`, 127.0.0.0/8 or ::1, without asking any name server."""
    name = host.removeprefix("[").removesuffix("]")
    if name.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
