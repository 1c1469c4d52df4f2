"""An issuer's keys in a file or at a URL: they are updated when they change, and stay valid if that fails."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.profile.identity import development_ca
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.settings.keyring import AddressSource, FileSource, Keyring
from tests.support.issuer import KeyAddress, jwks, pair, published, token
from tests.support.relay import serving

OLD, NEW = pair(), pair()
AGE = 300.0


def knows(ring: Keyring, *keys: SigningKey) -> list[bool]:
    """Return whether the keyring has each of the keys."""
    return [ring.keys.holding(key) is not None for key in keys]


@pytest.fixture
def address() -> Iterator[KeyAddress]:
    with published(jwks(OLD)) as serving:
        yield serving


@pytest.fixture
def ring(address: KeyAddress) -> Keyring:
    return loaded(address)


def loaded(address: KeyAddress) -> Keyring:
    """Return a keyring that has fetched its keys."""
    ring = Keyring(AddressSource(address.url, AGE))
    ring.load(0.0)
    return ring


async def test_a_file_is_read_again_after_a_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(OLD))
    ring = Keyring(FileSource(path))
    ring.load(0.0)
    before = ring.keys
    await ring.refresh(token(NEW), 0.0)
    assert ring.keys is before
    path.write_bytes(jwks(OLD, NEW))
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD, NEW) == [True, True]
    other = tmp_path / "new.json"
    other.write_bytes(jwks(NEW))
    other.replace(path)
    await ring.refresh(token(OLD), 0.0)
    assert knows(ring, OLD, NEW) == [False, True]
    for text, problem in ((b"{", "it is not JSON"), (None, "No such file"), (b" " * 1_048_577, "longer than")):
        caplog.clear()
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_bytes(text)
        for _ in range(3):
            await ring.refresh(token(OLD), 0.0)
        assert knows(ring, OLD, NEW) == [False, True]
        (line,) = caplog.messages
        assert line.startswith(f"the old keys stay valid: {path}: {problem}")


async def test_a_url_is_fetched_again_for_an_unknown_key_and_after_its_age(address: KeyAddress, ring: Keyring) -> None:
    await ring.refresh(token(OLD), 1.0)
    assert address.asked == 1
    address.body = jwks(OLD, NEW)
    await ring.refresh(token(NEW), 1.0)
    assert (knows(ring, OLD, NEW), address.asked) == ([True, True], 2)
    address.body = jwks(NEW)
    await ring.refresh(token(OLD), 1.0 + AGE - 0.1)
    assert address.asked == 2
    await ring.refresh(token(OLD), 1.0 + AGE)
    assert (knows(ring, OLD, NEW), address.asked) == ([False, True], 3)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Cache-Control", "public, Max-Age=20, must-revalidate")], 20),
        ([("Cache-Control", 'max-age="20"')], 20),
        ([("Cache-Control", "max-age=30"), ("Cache-Control", "public"), ("Age", "10")], 20),
        ([("Cache-Control", "max-age=5"), ("Age", "10")], 0),
        ([("Cache-Control", "max-age=20"), ("Age", "old")], 20),
        ([("Cache-Control", "no-store")], 0),
        ([("Cache-Control", "private, no-cache, max-age=20")], 0),
        ([("Cache-Control", "max-age=9999")], AGE),
        ([("Cache-Control", "s-maxage=20")], AGE),
    ],
)
def test_cache_control_shortens_the_age(address: KeyAddress, headers: list[tuple[str, str]], seconds: float) -> None:
    address.headers = headers
    ring = loaded(address)
    assert ring.stale(token(OLD), seconds)
    assert not seconds or not ring.stale(token(OLD), seconds - 0.1)


async def test_fetches_have_a_rate_limit(address: KeyAddress, ring: Keyring) -> None:
    for text in ("", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"):
        await ring.refresh(text, 0.0)  # no key set could have a key for these
    assert address.asked == 1
    for _ in range(20):
        await ring.refresh(token(pair()), 0.0)
    assert address.asked == 1 + 3
    for second in range(20):
        await ring.refresh(token(pair()), float(second))
    assert address.asked <= 1 + 3 + 10


async def test_tokens_that_wait_together_cause_one_fetch_and_later_ones_another(
    address: KeyAddress, ring: Keyring
) -> None:
    address.held = threading.Event()
    address.reached.clear()
    waiting = [asyncio.create_task(ring.refresh(token(pair()), 0.0)) for _ in range(5)]
    await asyncio.to_thread(address.reached.wait)
    await ring.refresh(token(OLD), 0.0)  # a loaded key doesn't wait
    assert not any(task.done() for task in waiting)
    address.body = jwks(NEW)  # the answer in progress has the old keys
    later = asyncio.create_task(ring.refresh(token(NEW), 0.0))
    await asyncio.sleep(0)
    address.held.set()
    await asyncio.gather(*waiting, later)
    assert (knows(ring, NEW), address.asked) == ([True], 3)


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (302, b"", "the answer is 302 Found"),
        (200, b"<html>", "it is not JSON"),
        (200, b" " * 1_048_577, "longer than 1048576 bytes"),
        (200, b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "key 1 is a secret"),
    ],
)
async def test_the_old_keys_stay_valid_after_a_wrong_answer(
    address: KeyAddress, ring: Keyring, status: int, body: bytes, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    address.status, address.body = status, body
    address.headers = [("Location", address.url)]
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD, NEW) == [True, False]
    (line,) = caplog.messages
    assert problem in line
    assert "c2VjcmV0" not in line
    address.status, address.body = 200, jwks(NEW)
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, NEW) == [True]


async def test_the_old_keys_stay_valid_without_a_server(caplog: pytest.LogCaptureFixture) -> None:
    with published(jwks(OLD)) as address:
        ring = loaded(address)
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD) == [True]
    assert caplog.messages == [f"the old keys stay valid: {address.url}: Connection refused"]


def test_an_answer_that_is_not_http_is_refused() -> None:
    def answer(sock: socket.socket) -> None:
        assert sock.recv(4096)
        sock.sendall(b"SSH-2.0-x\r\n")

    with serving(answer) as endpoint, pytest.raises(ValueError, match="the answer is not HTTP or incomplete"):
        AddressSource(f"http://{endpoint}/", AGE).read(0.0)


def test_a_query_is_sent_and_never_shown(address: KeyAddress) -> None:
    source = AddressSource(f"{address.url}?key=hush", AGE)
    source.read(0.0)
    AddressSource(address.url.removesuffix("/jwks.json"), AGE).read(0.0)
    assert (address.paths, str(source)) == (["/jwks.json?key=hush", "/"], address.url)


@pytest.mark.parametrize(
    ("problem", "urls"),
    [
        ("must be a URL of the form", ["jwks.json", "file:///etc/jwks.json", "https://", "https://ä.example/"]),
        ("not a URL", ["https://a.example:65536/"]),
        ("no user and no password", ["https://me:hush@issuer.example/"]),
        ("isn't loopback, so it must be https", ["http://issuer.example/jwks.json", "http://192.0.2.1/"]),
    ],
)
def test_urls_that_cannot_be_used(problem: str, urls: list[str]) -> None:
    for url in urls:
        with pytest.raises(ValueError, match=problem) as caught:
            AddressSource(url, AGE)
        assert "hush" not in str(caught.value)


def test_https_verifies_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = development_ca()
    chain, key = ca.issue("localhost", "127.0.0.1", "::1")
    file = tmp_path / "issuer.pem"
    file.write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with published(jwks(OLD), context) as address:
        with pytest.raises(OSError, match="certificate verify failed"):
            AddressSource(address.url, AGE).read(0.0)
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(ca.ca_file))
        assert AddressSource(address.url, AGE).read(0.0) == jwks(OLD)


async def test_a_skipped_key_is_logged_once(address: KeyAddress, caplog: pytest.LogCaptureFixture) -> None:
    address.body = b'{"keys":[{"kty":"AKP"},' + jwks(OLD).removeprefix(b'{"keys": [')
    ring = loaded(address)
    assert caplog.messages == [f"{address.url}: key 1 is skipped: its kty is not one of RSA, EC, OKP"]
    await ring.refresh(token(NEW), 0.0)
    assert (address.asked, len(caplog.messages)) == (2, 1)
