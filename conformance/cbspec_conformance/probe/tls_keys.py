"""The key schedule and the record protection of TLS 1.3, without I/O. Source: RFC 8446, 5.2, 5.3, 7.1 to 7.3."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

APPLICATION_DATA: Final = 23
_TAG: Final = 16  # bytes that an AEAD adds

Aead = AESGCM | AESCCM | ChaCha20Poly1305


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """A cipher suite: its hash, its cipher and the bytes of a key."""

    hash: str
    cipher: Callable[[bytes], Aead]
    key: int

    @property
    def size(self) -> int:
        """The bytes of a hash."""
        return hashlib.new(self.hash).digest_size

    def digest(self, data: bytes) -> bytes:
        """Return the hash of handshake messages."""
        return hashlib.new(self.hash, data).digest()

    def mac(self, key: bytes, data: bytes) -> bytes:
        """Return an HMAC, which is also HKDF-Extract."""
        return hmac.digest(key, data, self.hash)

    def expand(self, secret: bytes, label: str, context: bytes = b"", size: int = 0) -> bytes:
        """Return HKDF-Expand-Label; all sizes in TLS 1.3 are at most one block."""
        size, name = size or self.size, b"tls13 " + label.encode()
        info = size.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
        return self.mac(secret, info + b"\x01")[:size]

    def derive(self, secret: bytes, label: str, messages: bytes = b"") -> bytes:
        """Return Derive-Secret."""
        return self.expand(secret, label, self.digest(messages))

    def following(self, secret: bytes, added: bytes) -> bytes:
        """Return the next secret of the key schedule."""
        return self.mac(self.derive(secret, "derived"), added)


SUITES: Final[Mapping[int, CipherSuite]] = {
    0x1301: CipherSuite("sha256", AESGCM, 16),
    0x1302: CipherSuite("sha384", AESGCM, 32),
    0x1303: CipherSuite("sha256", ChaCha20Poly1305, 32),
    0x1304: CipherSuite("sha256", AESCCM, 16),
}


class Protection:
    """Encrypts or decrypts the records of one direction."""

    def __init__(self, suite: CipherSuite, secret: bytes) -> None:
        self.suite = suite
        self.secret = secret
        self._start()

    def _start(self) -> None:
        self._aead = self.suite.cipher(self.suite.expand(self.secret, "key", size=self.suite.key))
        self._iv = int.from_bytes(self.suite.expand(self.secret, "iv", size=12), "big")
        self._number = 0

    def update(self) -> None:
        """Use the next keys, after a KeyUpdate."""
        self.secret = self.suite.expand(self.secret, "traffic upd")
        self._start()

    def _nonce(self) -> bytes:
        self._number += 1
        return (self._iv ^ (self._number - 1)).to_bytes(12, "big")

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        """Return an encrypted record of content type `kind`."""
        inner = data + bytes([kind]) + bytes(padding)
        header = b"\x17\x03\x03" + (len(inner) + _TAG).to_bytes(2, "big")
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def open(self, record: bytes) -> tuple[int, bytes] | None:
        """Return the content type and content of an encrypted record; None if it can't be decrypted."""
        try:
            inner = self._aead.decrypt(self._nonce(), record[5:], record[:5]).rstrip(b"\0")
        except InvalidTag:
            return None
        return (inner[-1], inner[:-1]) if inner else None


PrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey
_CURVES: Final[Mapping[int, ec.EllipticCurve]] = {0x17: ec.SECP256R1(), 0x18: ec.SECP384R1(), 0x19: ec.SECP521R1()}
X25519: Final = 0x1D
GROUPS: Final = (X25519, *_CURVES)


def private_key(group: int) -> PrivateKey:
    """Return a new key of a group."""
    return x25519.X25519PrivateKey.generate() if group == X25519 else ec.generate_private_key(_CURVES[group])


def key_share(key: PrivateKey) -> bytes:
    """Return the public key as a key share has it."""
    if isinstance(key, x25519.X25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def shared_secret(key: PrivateKey, share: bytes) -> bytes:
    """Return the result of a key exchange; raises ValueError for an invalid share."""
    if isinstance(key, x25519.X25519PrivateKey):
        return key.exchange(x25519.X25519PublicKey.from_public_bytes(share))
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, share))
