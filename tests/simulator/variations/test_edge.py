"""Variations of TLS, and of how and when bytes are read and written: each differs from the clean relay on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from cryptography import x509

from cbspec.tls_contexts import legacy_client_context
from cbspec.tokens.foreign_keys import PUBLIC_FORMS, sign_by_certificate
from cbspec.tokens.jws import CompactJws
from cbspec_simulator import Behaviour, Config, ConfigError, Simulator, arranged, varied
from cbspec_simulator.relay.behaviour import OtherConnection
from cbspec_simulator.settings.config import Listen
from tests.simulator.variations.tls13 import reactions
from tests.support.client import PATIENCE, AsyncClient, RawClient, context, tunnel, until
from tests.support.messages import BEAT, HELLO, auth, line, token

Address = tuple[str, int]
CONFIG = Config(listen=Listen(port=0))
_HELLO, _BEAT = line(HELLO), line(BEAT)
_SHORT = 0.3  # seconds without an answer after which a connection counts as unserved


def _handshake(address: Address, made: ssl.SSLContext, name: str = "localhost") -> list[object]:
    """Return the facts of a handshake: the relay's messages, the version, the key; or how it failed."""
    messages: list[int] = []

    def note(_: object, direction: str, __: object, ___: object, kind: int, ____: bytes) -> None:
        messages.extend([int(kind)] if direction == "read" else [])

    if hasattr(made, "_msg_callback"):
        made._msg_callback = note
    try:
        with (
            socket.create_connection(address, timeout=PATIENCE) as raw,
            made.wrap_socket(raw, server_hostname=name) as tls,
        ):
            tls.sendall(_HELLO)
            tls.recv(1000)
            leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
            key = leaf.public_key()
            facts = (tls.version(), tls.selected_alpn_protocol(), type(key).__name__, getattr(key, "key_size", 0))
            return [*facts, leaf.issuer.rfc4514_string(), *messages]
    except OSError as error:
        return [type(error).__name__, getattr(error, "reason", ""), *messages]


def _tls(address: Address) -> object:
    with_alpn, any_name = context(), context()
    with_alpn.set_alpn_protocols(["http/1.1", "cloudbridge/2"])
    any_name.check_hostname = False
    p384 = context()
    p384.set_ecdh_curve("secp384r1")
    old = map(legacy_client_context, (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1))
    return [
        *(_handshake(address, made) for made in (with_alpn, p384, *old)),
        _handshake(address, any_name, "elsewhere"),
    ]


def _plain(address: Address) -> object:
    """Return whether bytes without TLS are served."""
    with socket.create_connection(address, timeout=PATIENCE) as raw, contextlib.suppress(ConnectionResetError):
        raw.sendall(_HELLO)
        return raw.recv(1)
    return b""


def _transports(address: Address) -> object:
    with RawClient(address).handshake() as tcp, RawClient(address, "websocket").handshake() as websocket:
        tcp.write(_HELLO)
        websocket.write(b"GET / HTTP/1.1\r\n\r\n")
        return tcp.first_bytes(1), websocket.first_bytes(1)


def _host(address: Address) -> object:
    return address[0]


def _writing(address: Address) -> object:
    """Return the sizes of the records of some answers, whether these are late, and how a connection is closed."""
    with RawClient(address).handshake() as client:
        client.enter()
        client.records.clear()
        began = time.monotonic()
        for _ in range(3):
            client.answers(BEAT, BEAT)
        late = time.monotonic() - began > 0.2
        client.write(b"x" * 1_100_000 + b"\n")
        return late, [len(record) for record in client.records], client.end()


def _resumed(address: Address) -> object:
    """Return the answers to tunnel_infos on the resumed TLS session of a whole session, before and after an auth."""
    made, session, answer = context(), None, b""
    usual = _HELLO + line(auth()) + tunnel() + _BEAT + tunnel("t", "tenant-002")
    for request in (usual, _HELLO + tunnel() + line(auth("tenant-002")) + tunnel()):
        with (
            socket.create_connection(address, timeout=PATIENCE) as raw,
            made.wrap_socket(raw, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(request)
            answer = tls.recv(1000)
            while answer.count(b"\n") < request.count(b"\n"):
                answer += tls.recv(1000)
            session = tls.session
    return answer


def _keyed(address: Address) -> object:
    """Return the answers to HMACs keyed with each form of the certificate and its public key."""
    forms = [*PUBLIC_FORMS, "certificate PEM", "certificate DER", "certificate x5c"]
    answers = []
    for form in forms:
        with (
            socket.create_connection(address, timeout=PATIENCE) as raw,
            context().wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            certificate = tls.getpeercert(binary_form=True) or b""
            forged = sign_by_certificate(certificate, CompactJws.split(token()), form)
            tls.sendall(_HELLO + line({"type": "auth", "token": forged}))
            answer = b""
            while answer.count(b"\n") < 2:
                answer += tls.recv(1000)
            answers.append(b"auth_response" in answer)
    return answers


def _others(address: Address) -> object:
    """Return whether connections are served during another one's handshake, and after a broken record."""
    found: list[object] = []
    with RawClient(address).handshake() as older:
        older.enter()
        for start in (b"", b"\x16\x03\x01"):
            with socket.create_connection(address) as silent, RawClient(address) as newer:
                silent.sendall(start)
                newer.socket.settimeout(_SHORT)
                try:
                    newer.handshake()
                except TimeoutError:
                    found.append("no handshake")
                older.write(_BEAT)
                found.append(older.is_silent(_SHORT))
    with RawClient(address).handshake() as broken:
        broken.enter()
        broken.socket.sendall(b"\x17\x03\x03\x00\x10" + bytes(16))
        with contextlib.suppress(ssl.SSLError):
            broken.end()
    with RawClient(address).handshake() as newer:
        newer.write(_HELLO)
        return [*found, newer.is_silent(_SHORT)]


def _crash(address: Address) -> object:
    """Return whether another connection survives deep nesting."""
    with RawClient(address).handshake() as one, RawClient(address).handshake() as other:
        one.enter()
        other.enter()
        one.write(b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n")
        return one.end() if not other.is_silent(_SHORT) else "open"


_OBSERVATIONS: dict[Callable[[Address], object], tuple[str, ...]] = {
    _tls: (
        *("tls-1.3-refused", "tls-1.2-accepted", "tls-1.1-accepted", "tls-1.0-accepted", "tls-no-alert"),
        *("rsa-certificate", "p384-certificate", "ed25519-certificate", "intermediate-ca", "one-group", "one-curve"),
        *(
            "no-tickets",
            "many-tickets",
            "no-session-tickets",
            "p521-certificate",
            "alpn",
            "client-certificate-asked",
            "other-alert",
        ),
        "unknown-server-name-refused",
    ),
    _plain: ("plain-text-served",),
    _transports: ("tcp-only", "websocket-only"),
    _writing: (
        "dribble",
        "trickle",
        "split-records",
        "merged-answers",
        "slow",
        "jittery",
        "no-close-notify",
        "everything-answered-twice-late",
    ),
    _resumed: (
        *("resumed-session-authenticated", "resumed-session-any-tenant", "resumption-after-tunnel-authenticates"),
        *("resumption-after-heartbeat-authenticates", "auth-refused-on-resumed-session-after-foreign"),
    ),
    reactions: (
        "other-tls-library",
        "early-data-served",
        "hello-retry-refused",
        "key-update-unanswered",
        "key-update-refused",
        "padded-record-refused",
        "split-handshake-refused",
        "unknown-cipher-suite-refused",
        "unknown-extension-refused",
        "unknown-group-refused",
        "newer-version-refused",
        "session-id-changed",
        "unasked-extension",
        "server-random-repeated",
        "change-cipher-spec-after-retry-refused",
        "record-version-refused",
        "short-session-id-refused",
        "split-handshake-header-refused",
        "retry-session-id-changed",
        "server-hello-in-old-records",
        "data-after-fatal-alert-served",
        "changed-record-accepted",
        "any-finished-accepted",
        "renegotiation-ignored",
        "data-after-close-notify-served",
        "half-message-completed",
        "record-size-limit-exceeded",
        "root-inside-chain",
        "empty-record-refused",
        "second-change-cipher-spec-refused",
        "large-record-accepted",
        "key-update-flood-refused",
        "tls-faults-end-silently",
        "record-size-limit-negotiated",
        "early-data-allowed",
    ),
    _keyed: (
        *("tls-public-key-as-secret", "tls-public-key-trimmed-as-secret", "tls-public-key-der-as-secret"),
        *("tls-public-key-raw-as-secret", "tls-certificate-as-secret"),
    ),
    _crash: ("deep-nesting-closes-all",),
    _host: ("ipv6",),
    _others: (
        *("silent-connection-blocks-open-ones", "half-handshake-blocks-open-ones"),
        *("silent-connection-blocks-new-ones", "half-handshake-blocks-new-ones", "broken-record-ends-service"),
    ),
}
_LATE = ("tunnels-given-back-late", "tenant-connections-given-back-late")
_OTHERWISE = ("late-return", *_LATE, "paused-once", "one-cipher-suite", "unread-answers-block-all")
AT_THE_EDGE = {*_OTHERWISE, *(id_ for ids in _OBSERVATIONS.values() for id_ in ids)}


async def _observed(look: Callable[[Address], object], *ids: str) -> object:
    async with Simulator(arranged(CONFIG, *ids), behaviour=varied(Behaviour(), *ids)) as simulator:
        return await asyncio.to_thread(look, simulator.address)


@pytest.mark.parametrize("look", _OBSERVATIONS, ids=lambda look: look.__name__.lstrip("_"))
async def test_each_differs_at_the_edge(look: Callable[[Address], object]) -> None:
    clean = await _observed(look)
    assert [id_ for id_ in _OBSERVATIONS[look] if await _observed(look, id_) == clean] == []


@pytest.mark.parametrize("ids", [(), ("unread-answers-block-all",)])
async def test_unread_answers_can_block_the_other_connections(ids: tuple[str, ...]) -> None:
    behaviour = varied(Behaviour(), *ids)
    stuck_events: list[bool] = []

    def stuck(others: Iterable[OtherConnection], full: bool) -> None:
        behaviour.stuck(others, full)
        stuck_events.append(full)

    async with (
        Simulator(CONFIG, behaviour=replace(behaviour, stuck=stuck)) as simulator,
        AsyncClient(simulator.address) as one,
        AsyncClient(simulator.address) as other,
    ):
        await one.greet()
        await other.greet()
        one.writer.transport.pause_reading()  # type: ignore[attr-defined]
        one.write(tunnel("x" * 30_000) * 400)
        await until(lambda: stuck_events == [True])
        answer = asyncio.create_task(other.ask(_BEAT))
        if not ids:
            await answer
        async with AsyncClient(simulator.address) as new:
            await new.greet()
            assert answer.done() is not bool(ids)
        one.writer.transport.abort()
        assert (await answer)["type"] == "heartbeat_response"
        await until(lambda: not stuck_events[-1])


async def test_what_a_connection_held_can_be_given_back_late() -> None:
    async def seconds(*ids: str) -> float:
        async with Simulator(arranged(CONFIG, *ids), behaviour=varied(Behaviour(), *ids)) as simulator:
            with RawClient(simulator.address) as client:
                await asyncio.to_thread(lambda: client.handshake().enter())
            ended = time.monotonic()
            await until(lambda: not simulator.relay.state.usage)
            return time.monotonic() - ended

    assert await seconds("late-return") >= 0.95
    assert {varied(Behaviour(), id_).notices_after for id_ in _LATE} == {8.0}
    assert await seconds() < 0.95


def test_a_relay_pauses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    pause = varied(Behaviour(), "paused-once").writing.pause
    assert {pause() for _ in range(1000)} == {0.0}
    assert [seconds >= 6 for seconds in pauses] == [True]


async def test_one_cipher_suite_needs_the_configuration_of_openssl() -> None:
    with pytest.raises(ConfigError, match=r"OPENSSL_CONF=.*one-cipher-suite\.cnf"):
        await Simulator(replace(CONFIG), behaviour=varied(Behaviour(), "one-cipher-suite")).start()
