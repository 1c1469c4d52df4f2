"""The issuer's public keys where they can change: a JWKS in a file or at an address, brought up to date when needed.

This is an edge: it reads files and fetches, in a thread, and never while a token is verified. A set that can't be had
leaves the old one in force; the log says why.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import math
import re
import ssl
import time
from email.message import Message
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from cbspec.profile.identity import is_loopback
from cbspec.profile.target import Rate
from cbspec.tokens.jwks import KeySet, PublicKey, UnknownKey
from cbspec.tokens.jwt import TokenRejected
from cbspec_simulator.base.limits import TokenBucket

log = logging.getLogger("simulator")

_PATIENCE: Final = 5.0  # seconds for an answer
_MAX_SIZE: Final = 1024 * 1024  # bytes of a set
_PIECE: Final = 64 * 1024
_FETCHES: Final = Rate(per_second=0.5, burst=3)
"""How often an address is asked: tokens with invented key ids must not become a flood at the issuer's. A few in a row
are let through, so that a client which comes right after a rotation is served at its first try."""


_NOT_KEPT: Final = re.compile(r"(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)")
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,12})\"?\s*(?:,|$)")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class Source(Protocol):
    """Where a set comes from."""

    def stale(self, missing: bool, now: float) -> bool:
        """Say whether there is a reason to read the set anew; `missing`: a token names a key that it hasn't."""

    def allows(self, now: float) -> bool:
        """Say whether reading it once more is not too often, and count it."""

    def read(self, now: float) -> bytes:
        """Return the text of the set; raises OSError or ValueError."""


class FileSource:
    """A file, read again whenever it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()

    def __str__(self) -> str:
        return str(self._path)

    def stale(self, missing: bool, now: float) -> bool:
        """Say whether the file is another than at the last try to read it."""
        return self._look() != self._seen

    def allows(self, now: float) -> bool:
        """Say that it may be read: it costs nobody anything."""
        return True

    def read(self, now: float) -> bytes:
        """Return the file's bytes."""
        self._seen = self._look()  # before it is read: what changes meanwhile is seen next time
        with self._path.open("rb") as file:
            return _limited(file.read(_MAX_SIZE + 1))

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns


class AddressSource:
    """An address, asked again when a key is missing or the set is older than `max_age` seconds, within `_FETCHES`.

    It is asked sooner where the answer's Cache-Control says so.

    ValueError where the address can't be used: it is http or https, http on loopback alone, and holds no password.
    """

    def __init__(self, url: str, max_age: float) -> None:
        self._parts = _checked(url)
        self._max_age = max_age
        self._expires = 0.0
        self._bucket = TokenBucket(_FETCHES)

    def __str__(self) -> str:
        return self._parts._replace(query="").geturl()  # a query may hold a password

    def stale(self, missing: bool, now: float) -> bool:
        """Say whether a key is missing, or the answer too old."""
        return missing or now >= self._expires

    def allows(self, now: float) -> bool:
        """Say whether the address may be asked so soon."""
        return self._bucket.allow(now)

    def read(self, now: float) -> bytes:
        """Ask; no redirection is followed and no proxy used. HTTPS trusts the system's CAs, or $SSL_CERT_FILE's."""
        parts = self._parts
        ends = time.monotonic() + _PATIENCE
        connection = _connection(parts)
        try:
            target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
            connection.request("GET", target, headers={"Accept": "application/jwk-set+json, application/json"})
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise ValueError(
                    f"the answer is {answer.status} {http.client.responses.get(answer.status, '')}".strip()
                )
            age = min(self._max_age, _fresh(answer.headers))
            text = b""
            while len(text) <= _MAX_SIZE and (piece := answer.read1(_PIECE)):
                text += piece
                if time.monotonic() > ends:
                    raise TimeoutError(f"the answer isn't complete after {_PATIENCE:g} seconds")
        except http.client.HTTPException:
            raise ValueError("the answer is no HTTP, or breaks off") from None
        finally:
            connection.close()
        self._expires = now + age
        return _limited(text)


class Keyring:
    """The keys of a source, as they were when it was last read well."""

    def __init__(self, source: Source) -> None:
        self.keys = KeySet()
        self._source = source
        self._lock = asyncio.Lock()
        self._begun = 0

    def __str__(self) -> str:
        return str(self._source)

    def choose(self, token: str) -> PublicKey:
        """Return the key for a token among those that are at hand; raises `TokenRejected`."""
        return self.keys.choose(token)

    def load(self, now: float) -> None:
        """Read the source; raises OSError or ValueError, and the old keys stay."""
        self._begun += 1
        keys = KeySet.read(self._source.read(now))
        if keys.skipped != self.keys.skipped:
            for word in keys.skipped:
                log.warning("%s: %s", self._source, word)
        self.keys = keys

    def stale(self, token: str, now: float) -> bool:
        """Say whether a token is to wait for newer keys; `now` is of a clock that never goes back."""
        missing = self._misses(token)
        # A slow answer on somebody else's account is no reason to wait.
        return self._source.stale(missing, now) and (missing or not self._lock.locked())

    async def refresh(self, token: str, now: float) -> None:
        """Bring the keys up to date for a token, where they are stale."""
        begun = self._begun
        if not self.stale(token, now):
            return
        async with self._lock:
            # What was begun since this token came is as new as can be: nobody asks twice for those who wait together.
            if self._begun == begun and self._source.stale(self._misses(token), now) and self._source.allows(now):
                try:
                    await asyncio.to_thread(self.load, now)
                except (OSError, ValueError) as error:
                    log.warning("the keys stay as they were: %s: %s", self._source, reason(error))

    def _misses(self, token: str) -> bool:
        try:
            self.keys.choose(token)
        except UnknownKey:
            return True
        except TokenRejected:
            return False
        return False


def reason(error: Exception) -> str:
    """Say in few words why a set couldn't be read."""
    return str(getattr(error, "strerror", None) or error)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is no address") from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it is no address of the form https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must hold no user and no password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{host} isn't loopback, so it must be https: who could change the answer could mint tokens")
    return parts


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=_PATIENCE, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port, timeout=_PATIENCE)


def _fresh(headers: Message) -> float:
    """Return for how many seconds an answer may be kept (Source: RFC 9111, 5.2.2 and 5.1)."""
    said = ",".join(headers.get_all("Cache-Control", [])).lower()
    if _NOT_KEPT.search(said):
        return 0.0
    found = _MAX_AGE.search(said)
    if found is None:
        return math.inf
    age = headers.get("Age", "").strip()
    return max(0.0, float(found[1]) - (float(age) if _SECONDS.fullmatch(age) else 0.0))


def _limited(text: bytes) -> bytes:
    if len(text) > _MAX_SIZE:
        raise ValueError(f"it is longer than {_MAX_SIZE} bytes")
    return text
