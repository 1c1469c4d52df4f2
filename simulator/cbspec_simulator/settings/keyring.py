"""The issuer's public keys: a JWKS in a file or at a URL, updated when necessary.

Files are read and URLs fetched in a thread, never while a token is verified. If a key set can't be loaded, the old one
stays valid, and the reason is logged.
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
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cbspec.profile.identity import is_loopback
from cbspec.profile.target import Rate
from cbspec.tokens.jwks import KeySet, UnknownKey
from cbspec.tokens.jwt import PublicKey, TokenRejected
from cbspec_simulator.base.limits import TokenBucket

log = logging.getLogger("simulator")

_TIMEOUT: Final = 5.0  # seconds
_MAX_SIZE: Final = 1024 * 1024  # bytes of a key set
_READ_SIZE: Final = 64 * 1024
_FETCHES: Final = Rate(per_second=0.5, burst=3)
"""The rate limit of fetches, since tokens with invented key ids cause some; the burst serves clients right after a key
rotation."""

_NO_CACHE: Final = re.compile(r"(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)")
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,12})\"?\s*(?:,|$)")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class FileSource:
    """A file, which is read again after every change; the methods are those of `AddressSource`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()

    def __str__(self) -> str:
        return str(self._path)

    def stale(self, missing: bool, now: float) -> bool:
        """Return whether the file has changed since the last attempt to read it."""
        return self._version() != self._seen

    def allows(self, now: float) -> bool:
        """Return True: files have no rate limit."""
        return True

    def read(self, now: float) -> bytes:
        """Return the file's bytes."""
        self._seen = self._version()  # before the file is read, so that a change during the read is noticed later
        with self._path.open("rb") as file:
            return _limited(file.read(_MAX_SIZE + 1))

    def _version(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns


class AddressSource:
    """A URL, which is fetched again if a key is missing or the set is too old, within the rate limit `_FETCHES`.

    Arguments: `max_age` is the longest age of a set in seconds; the answer's Cache-Control can shorten it. Raises
    ValueError if the URL can't be used: it must be https, or http on a loopback address, and contain no password.
    """

    def __init__(self, url: str, max_age: float) -> None:
        self._parts = _checked(url)
        self._max_age = max_age
        self._expires = 0.0
        self._bucket = TokenBucket(_FETCHES)

    def __str__(self) -> str:
        return self._parts._replace(query="").geturl()  # a query may contain a password

    def stale(self, missing: bool, now: float) -> bool:
        """Return whether the set should be read again: it lacks the key of a token (`missing`) or is too old."""
        return missing or now >= self._expires

    def allows(self, now: float) -> bool:
        """Count a fetch, and return whether the rate limit allows it."""
        return self._bucket.allow(now)

    def read(self, now: float) -> bytes:
        """Fetch the set, without redirects or proxies; raises OSError or ValueError.

        HTTPS trusts the system's CAs or those in $SSL_CERT_FILE.
        """
        parts = self._parts
        deadline = time.monotonic() + _TIMEOUT
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            trusted = ssl.create_default_context()
            connection = http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=_TIMEOUT, context=trusted)
        else:
            connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_TIMEOUT)
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
            while len(text) <= _MAX_SIZE and (piece := answer.read1(_READ_SIZE)):
                text += piece
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the answer is incomplete after {_TIMEOUT:g} seconds")
        except http.client.HTTPException:
            raise ValueError("the answer is not HTTP or incomplete") from None
        finally:
            connection.close()
        self._expires = now + age
        return _limited(text)


Source = FileSource | AddressSource


class Keyring:
    """The keys of a source since it was last read successfully."""

    def __init__(self, source: Source) -> None:
        self.keys = KeySet()
        self._source = source
        self._lock = asyncio.Lock()
        self._reads = 0

    def __str__(self) -> str:
        return str(self._source)

    def choose(self, token: str) -> PublicKey:
        """Return the loaded key for a token; raises `TokenRejected`."""
        return self.keys.choose(token)

    def load(self, now: float) -> None:
        """Read the source; raises OSError or ValueError, and the old keys stay valid."""
        self._reads += 1
        keys = KeySet.read(self._source.read(now))
        if keys.skipped != self.keys.skipped:
            for problem in keys.skipped:
                log.warning("%s: %s", self._source, problem)
        self.keys = keys

    def stale(self, token: str, now: float) -> bool:
        """Return whether a token must wait for newer keys; `now` is in seconds of the monotonic clock."""
        missing = self._misses(token)
        # A fetch for another token is no reason to wait if the key is loaded.
        return self._source.stale(missing, now) and (missing or not self._lock.locked())

    async def refresh(self, token: str, now: float) -> None:
        """Update the keys for a token if they are stale."""
        reads = self._reads
        if not self.stale(token, now):
            return
        async with self._lock:
            # A read that began after the token arrived is recent enough, so tokens that wait together cause one read.
            if self._reads == reads and self._source.stale(self._misses(token), now) and self._source.allows(now):
                try:
                    await asyncio.to_thread(self.load, now)
                except (OSError, ValueError) as error:
                    log.warning("the old keys stay valid: %s: %s", self._source, reason(error))

    def _misses(self, token: str) -> bool:
        try:
            self.keys.choose(token)
        except TokenRejected as error:
            return isinstance(error, UnknownKey)
        return False


def reason(error: Exception) -> str:
    """Return the reason why a set couldn't be read."""
    return str(getattr(error, "strerror", None) or error)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL of the form https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must contain no user and no password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{host} isn't loopback, so it must be https: a changed answer would make any token valid")
    return parts


def _fresh(headers: Message) -> float:
    """Return the seconds for which an answer may be cached (RFC 9111, 5.2.2 and 5.1)."""
    directives = ",".join(headers.get_all("Cache-Control", [])).lower()
    if _NO_CACHE.search(directives):
        return 0.0
    found = _MAX_AGE.search(directives)
    if found is None:
        return math.inf
    age = headers.get("Age", "").strip()
    return max(0.0, float(found[1]) - (float(age) if _SECONDS.fullmatch(age) else 0.0))


def _limited(text: bytes) -> bytes:
    if len(text) > _MAX_SIZE:
        raise ValueError(f"longer than {_MAX_SIZE} bytes")
    return text
