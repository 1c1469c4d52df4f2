"""A blocking TLS 1.3 client for handshakes and records that no TLS library sends.

It verifies no certificate: never send a secret over it. Source: RFC 8446, 4 and 5.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cbspec.keylog import log_key
from cbspec_conformance.probe.client_hello import Offer
from cbspec_conformance.probe.tcp import Tcp
from cbspec_conformance.probe.tls_keys import (
    APPLICATION_DATA,
    GROUPS,
    SUITES,
    CipherSuite,
    PrivateKey,
    Protection,
    key_share,
    private_key,
    shared_secret,
)
from cbspec_conformance.probe.wire import alert_text

CHANGE_CIPHER_SPEC: Final = b"\x14\x03\x03\x00\x01\x01"
ALERT, HANDSHAKE = 21, 22
CLOSE_NOTIFY: Final = b"\x01\x00"
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446, 4.1.3
_SERVER_HELLO, _NEW_TICKET, _ENCRYPTED_EXTENSIONS, _CERTIFICATE = 2, 4, 8, 11
_CERTIFICATE_REQUEST, _CERTIFICATE_VERIFY, _FINISHED, _KEY_UPDATE = 13, 15, 20, 24
_LARGEST: Final = 1 << 18  # bytes of a handshake message
_MANDATORY: Final = (
    ("TLS_AES_128_GCM_SHA256", None, b"\x13\x01"),
    ("secp256r1", 10, b"\x00\x17"),
    ("ecdsa_secp256r1_sha256", 13, b"\x04\x03"),
    ("rsa_pss_rsae_sha256", 13, b"\x08\x04"),
)
"""Names, the number of the extension that lists them (None: the cipher suites), and codes. Source: RFC 8446, 9.1."""


class NotAgreed(Exception):
    """The handshake failed; the text says how the relay ended it, or which answer breaks RFC 8446."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session ticket and its key; `early` is the bytes of 0-RTT data that it allows."""

    identity: bytes
    secret: bytes
    suite: int
    age_add: int
    early: int


@dataclass(slots=True)
class Seen:
    """Facts about the relay's handshake: parts of its ServerHello, and the later messages.

    `sessions` are the session ids of a HelloRetryRequest and the ServerHello, `records` the versions of all records.
    """

    retried: bool = False
    legacy: bytes = b""
    sessions: set[bytes] = field(default_factory=set)
    records: set[bytes] = field(default_factory=set)
    suite: int = 0
    compression: int = 0
    version: int = 0
    group: int = 0
    random: bytes = b""
    hello_extensions: tuple[int, ...] = ()
    encrypted_extensions: dict[int, bytes] = field(default_factory=dict)
    chain: list[bytes] = field(default_factory=list)
    signature: int = 0
    resumed: bool = False
    early: bool = False
    certificate_asked: bool = False


class TlsClient:
    """One connection.

    `seen` are facts of its handshake, `tickets` those of the relay, `updates` counts its KeyUpdates, `largest` is the
    size of its largest encrypted record, and `end` says how it ended the connection ("": it is open).

    Arguments: `name` is the server's; handshake messages are split into records of `fragment` bytes (0: not split),
    `changes` says how often change_cipher_spec records are sent: "", "once" as RFC 8446, D.4, says, or "everywhere".
    With a `ticket` the session is resumed, and `early` is sent as 0-RTT data. The ClientHello of the client `repeated`
    is sent again.
    """

    def __init__(
        self,
        tcp: Tcp,
        name: str,
        offer: Offer,
        timeout: float,
        *,
        fragment: int = 0,
        changes: str = "",
        ticket: Ticket | None = None,
        early: bytes = b"",
        repeated: TlsClient | None = None,
    ) -> None:
        self.tcp = tcp
        self.offer = offer
        self.seen = Seen()
        self.tickets: list[Ticket] = []
        self.updates = 0
        self.largest = 0
        self.end = ""
        self._name = name
        self.timeout = timeout
        self._fragment = fragment
        self._ticket = ticket
        self._early = early
        self._changes = changes
        self._random: bytes = repeated._random if repeated else os.urandom(32)
        self._keys: dict[int, PrivateKey] = (
            repeated._keys if repeated else {group: private_key(group) for group in offer.shares}
        )
        self._messages = b""  # of the handshake, for its hash
        self._raw = b""
        self._handshake = b""
        self._share = self._cookie = self._client_secret = b""
        self._suite = SUITES[0x1301]
        self._master = b""  # empty before the end of the handshake
        self._traffic = [b"", b""]
        self.reading: Protection | None = None
        self.writing: Protection | None = None

    # ------------------------------------------------------------------ handshake

    def greet(self) -> None:
        """Send the ClientHello, and 0-RTT data if there is any."""
        hello = self._hello({})
        self._messages += hello
        data = self._records(hello, self.offer.record) + (CHANGE_CIPHER_SPEC if self._changes == "everywhere" else b"")
        if self._early and self._ticket:
            suite = SUITES[self._ticket.suite]
            secret = suite.derive(suite.mac(bytes(suite.size), self._ticket.secret), "c e traffic", hello)
            log_key("CLIENT_EARLY_TRAFFIC_SECRET", self._random, secret)
            self.writing = Protection(suite, secret)
            data += self.writing.seal(APPLICATION_DATA, self._early)
        self.send_raw(data)

    def agree(self) -> bytes:
        """Read up to the relay's Finished and return our Finished message, for `finish`. Raises NotAgreed."""
        body = self._expect(_SERVER_HELLO)
        self._read_hello(body)
        if self.seen.random == _RETRY:
            body = self._retry(body)
        suite = SUITES.get(self.seen.suite)
        key = self._keys.get(self.seen.group)
        if suite is None or key is None or self.seen.version != 0x0304:
            raise NotAgreed(
                f"a ServerHello with version {self.seen.version:#06x}, suite {self.seen.suite:#06x} and group "
                f"{self.seen.group:#06x}, which were not offered together"
            )
        psk = self._ticket.secret if self._ticket and self.seen.resumed else bytes(suite.size)
        early_secret = suite.mac(bytes(suite.size), psk)
        try:
            shared = shared_secret(key, self._share)
        except ValueError:
            raise NotAgreed("an invalid key share") from None
        secret = suite.following(early_secret, shared)
        client, server = (suite.derive(secret, f"{side} hs traffic", self._messages) for side in "cs")
        self._log("HANDSHAKE_TRAFFIC_SECRET", client, server)
        self.reading = Protection(suite, server)
        self._read_flight()
        master = suite.following(secret, bytes(suite.size))
        self._suite, self._master = suite, master
        self._traffic = [suite.derive(master, f"{side} ap traffic", self._messages) for side in "cs"]
        self._log("TRAFFIC_SECRET_0", *self._traffic)
        self.reading = Protection(suite, self._traffic[1])
        if self._early and self.seen.early and self.writing is not None:
            ended = b"\x05\x00\x00\x00"  # EndOfEarlyData
            self._messages += ended
            self.send_raw(self.writing.seal(HANDSHAKE, ended))
        self.writing = Protection(suite, client)
        self._client_secret = client
        ours = b""
        if self.seen.certificate_asked:  # none
            ours = b"\x0b\x00\x00\x04\x00\x00\x00\x00"
            self._messages += ours
        return ours + self._finished_message(suite)

    def _log(self, label: str, client: bytes, server: bytes) -> None:
        for side, secret in (("CLIENT", client), ("SERVER", server)):
            log_key(f"{side}_{label}", self._random, secret)

    def _finished_message(self, suite: CipherSuite) -> bytes:
        key = suite.expand(self._client_secret, "finished")
        data = suite.mac(key, suite.digest(self._messages))
        message = bytes([_FINISHED]) + len(data).to_bytes(3, "big") + data
        self._messages += message
        return message

    def finish(self, finished: bytes) -> None:
        """Send our Finished and use the keys for application data."""
        assert self.writing is not None  # noqa: S101 - after `agree`
        size = self._fragment or len(finished)
        parts = [finished[at : at + size] for at in range(0, len(finished), size)]
        self.send_raw(self._change_cipher_spec() + b"".join(self.writing.seal(HANDSHAKE, part) for part in parts))
        self.begin()

    def begin(self) -> None:
        """Use the keys for application data."""
        self.writing = Protection(self._suite, self._traffic[0])

    def handshake(self) -> None:
        """Do the whole handshake. Raises NotAgreed."""
        self.greet()
        self.finish(self.agree())

    def _change_cipher_spec(self) -> bytes:
        """Return a change_cipher_spec record if one is sent now: usually before the client's second flight only."""
        sent = CHANGE_CIPHER_SPEC if self._changes else b""
        if self._changes == "once":
            self._changes = ""
        return sent

    def _hello(self, last: dict[int, bytes]) -> bytes:
        shares = [
            *(() if self.seen.retried else self.offer.odd_shares),
            *((group, key_share(key)) for group, key in self._keys.items()),
        ]
        if self._ticket is None:
            return self.offer.message(self._name, self._random, shares, last)
        suite, ticket = SUITES[self._ticket.suite], self._ticket
        if self._early and not self.seen.retried:
            last = {**last, 42: b""}
        identity = len(ticket.identity).to_bytes(2, "big") + ticket.identity + ticket.age_add.to_bytes(4, "big")
        listed = len(identity).to_bytes(2, "big") + identity
        binders = suite.size + 3
        last = {**last, 41: listed + bytes(binders)}
        hello = self.offer.message(self._name, self._random, shares, last)
        early = suite.mac(bytes(suite.size), ticket.secret)
        key = suite.expand(suite.derive(early, "res binder"), "finished")
        binder = suite.mac(key, suite.digest(self._messages + hello[:-binders]))
        return hello[:-binders] + (suite.size + 1).to_bytes(2, "big") + bytes([suite.size]) + binder

    def _retry(self, first: bytes) -> bytes:
        """Answer a HelloRetryRequest and return the ServerHello after it."""
        suite, group = SUITES.get(self.seen.suite), self.seen.group
        if suite is None or group not in GROUPS or group in self._keys:
            raise NotAgreed(f"a HelloRetryRequest for suite {self.seen.suite:#06x} and group {group:#06x}")
        hello, retry = self._messages[: -len(first)], first
        self._messages = b"\xfe\x00\x00" + bytes([suite.size]) + suite.digest(hello) + retry
        self.seen.retried = True
        self._keys = {group: private_key(group)}
        cookie = self._cookie
        message = self._hello({44: cookie} if cookie else {})
        self._messages += message
        self.writing = None
        self.send_raw(self._change_cipher_spec() + self._records(message, b"\x03\x03"))
        body = self._expect(_SERVER_HELLO)
        self._read_hello(body)
        if self.seen.random == _RETRY:
            raise NotAgreed("a second HelloRetryRequest")
        return body

    def _read_hello(self, message: bytes) -> None:
        seen, reader = self.seen, _Reader(message[4:])
        seen.legacy, seen.random = reader.take(2), reader.take(32)
        seen.sessions.add(reader.sized(1))
        seen.suite, seen.compression = reader.number(2), reader.number(1)
        extensions = reader.extensions()
        seen.hello_extensions = tuple(extensions)
        seen.version = int.from_bytes(extensions.get(43, b""), "big")
        share = extensions.get(51, b"")
        seen.group, self._share = int.from_bytes(share[:2], "big"), share[4:]
        self._cookie = extensions.get(44, b"")
        seen.resumed = 41 in extensions

    def _read_flight(self) -> None:
        while True:
            message = self._next_message()
            reader = _Reader(message[4:])
            if message[0] == _FINISHED:
                return
            if message[0] == _ENCRYPTED_EXTENSIONS:
                self.seen.encrypted_extensions = reader.extensions()
                self.seen.early = 42 in self.seen.encrypted_extensions
            elif message[0] == _CERTIFICATE_REQUEST:
                self.seen.certificate_asked = True
            elif message[0] == _CERTIFICATE:
                reader.sized(1)
                listed = _Reader(reader.sized(3))
                while listed.left:
                    self.seen.chain.append(listed.sized(3))
                    listed.sized(2)
            elif message[0] == _CERTIFICATE_VERIFY:
                self.seen.signature = reader.number(2)

    def _records(self, message: bytes, version: bytes) -> bytes:
        size = self._fragment or len(message)
        parts = [message[at : at + size] for at in range(0, len(message), size)]
        return b"".join(b"\x16" + version + len(part).to_bytes(2, "big") + part for part in parts)

    def _expect(self, kind: int) -> bytes:
        message = self._next_message()
        if message[0] != kind:
            raise NotAgreed(f"a handshake message of type {message[0]} instead of type {kind}")
        return message

    def _next_message(self) -> bytes:
        """Return the next handshake message. Raises NotAgreed."""
        deadline = time.monotonic() + self.timeout
        while (message := self._whole_message()) is None:
            received = self._record(deadline)
            if received is None:
                raise NotAgreed(self.end or "no answer in time")
            kind, data = received
            if kind == HANDSHAKE:
                self._handshake += data
            elif kind != CHANGE_CIPHER_SPEC[0]:
                raise NotAgreed(f"a record of type {kind} during the handshake")
        self._messages += message
        return message

    def _whole_message(self) -> bytes | None:
        size = 4 + int.from_bytes(self._handshake[1:4], "big")
        if size > _LARGEST:
            raise NotAgreed("a handshake message of more than 256 KiB")
        if len(self._handshake) < size:
            return None
        message, self._handshake = self._handshake[:size], self._handshake[size:]
        return message

    # ------------------------------------------------------------------ records

    def send_raw(self, data: bytes) -> None:
        """Send bytes on the socket; reading reports the end if the relay has closed."""
        with contextlib.suppress(OSError):
            self.tcp.send(data, self.timeout)

    def sealed(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        """Return an encrypted record."""
        assert self.writing is not None  # noqa: S101 - after the handshake
        return self.writing.seal(kind, data, padding)

    def send(self, data: bytes) -> None:
        """Send application data."""
        self.send_raw(self.sealed(APPLICATION_DATA, data))

    def key_update(self, *, reply: bool) -> bytes:
        """Return a KeyUpdate's record, and use the next keys after it."""
        assert self.writing is not None  # noqa: S101 - after the handshake
        record = self.sealed(HANDSHAKE, bytes([_KEY_UPDATE, 0, 0, 1, reply]))
        self.writing.update()
        return record

    def receive(self, wait: float) -> bytes:
        """Return application data that arrives within `wait` seconds; b"" after a time-out, or the end (see `end`)."""
        deadline = time.monotonic() + wait
        while (received := self._record(deadline)) is not None:
            kind, data = received
            if kind == APPLICATION_DATA:
                if data:
                    return data
            elif kind == HANDSHAKE and self._master:
                self._handshake += data
                self._after_handshake()
        return b""

    def _after_handshake(self) -> None:
        while (message := self._whole_message()) is not None:
            if message[0] == _KEY_UPDATE and self.reading is not None:
                self.updates += 1
                self.reading.update()
            elif message[0] == _NEW_TICKET:
                self.tickets.append(self._new_ticket(_Reader(message[4:]), self._master))

    def _new_ticket(self, reader: _Reader, master: bytes) -> Ticket:
        reader.take(4)
        age_add, nonce, identity = reader.number(4), reader.sized(1), reader.sized(2)
        early = int.from_bytes(reader.extensions().get(42, b""), "big")
        resumption = self._suite.derive(master, "res master", self._messages)
        secret = self._suite.expand(resumption, "resumption", nonce)
        return Ticket(identity, secret, self.seen.suite, age_add, early)

    def _record(self, deadline: float) -> tuple[int, bytes] | None:
        """Return the type and content of the next record, decrypted; None after a time-out or the end."""
        while not self.end:
            size = 5 + int.from_bytes(self._raw[3:5], "big")
            if len(self._raw) >= 5 and len(self._raw) >= size:
                record, self._raw = self._raw[:size], self._raw[size:]
                return self._opened(record)
            try:
                data = self.tcp.receive(max(deadline - time.monotonic(), 0.0))
            except OSError:
                self.end = "a reset of the connection"
                return None
            if data is None:
                return None
            if not data:
                self.end = "the end of the connection, without an alert"
            self._raw += data
        return None

    def _opened(self, record: bytes) -> tuple[int, bytes] | None:
        kind, data = record[0], record[5:]
        self.seen.records.add(record[1:3])
        if kind == APPLICATION_DATA and self.reading is not None:
            self.largest = max(self.largest, len(data))
            opened = self.reading.open(record)
            if opened is None:
                self.end = "a record that can't be decrypted"
                return None
            kind, data = opened
        if kind == ALERT:
            self.end = (
                "close_notify" if data[1:2] == b"\0" else f"the alert {alert_text(data[1] if len(data) > 1 else 0)}"
            )
            return None
        return kind, data

    def close(self, wait: float = 0.0) -> None:
        """Send close_notify if the handshake is complete, and close; wait some seconds for the relay to do so, too."""
        if self.writing is not None and not self.end:
            self.send_raw(self.sealed(ALERT, CLOSE_NOTIFY))
        if wait and not self.end:
            with contextlib.suppress(OSError):
                self.tcp.finish()
                self.tcp.await_end(wait)
        self.tcp.close()


def not_offered(hello: bytes) -> list[str]:
    """Return the mandatory algorithms of TLS 1.3 that a ClientHello, in one record, does not offer."""
    reader = _Reader(hello[43:])  # after the headers, the version and the random value
    reader.sized(1)
    lists: list[tuple[int | None, bytes]] = [(None, reader.sized(2))]
    reader.sized(1)
    lists += reader.extensions().items()
    offered = {key: {listed[at : at + 2] for at in range(0, len(listed), 2)} for key, listed in lists}
    return [name for name, key, code in _MANDATORY if code not in offered.get(key, ())]


class _Reader:
    """Reads the fields of a message. Raises NotAgreed at its end."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, size: int) -> bytes:
        if len(self.left) < size:
            raise NotAgreed("a handshake message that is too short")
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self, size: int) -> bytes:
        return self.take(self.number(size))

    def extensions(self) -> dict[int, bytes]:
        """Return the extensions of a message by their numbers."""
        return dict(self._pairs(_Reader(self.sized(2) if self.left else b"")))

    @staticmethod
    def _pairs(listed: _Reader) -> Iterator[tuple[int, bytes]]:
        while listed.left:
            yield listed.number(2), listed.sized(2)
