"""An issuer's keys, read from a file and from an address, and what happens when they change or can't be had."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from cbspec.profile.identity import development_ca
from cbspec.tokens.jwt import TokenRejected
from cbspec_simulator.settings.keyring import AddressSource, FileSource, Keyring, reason
from tests.support.issuer import Address, jwks, pair, published, token

OLD, NEW, NEWER = pair(), pair(), pair("ES256")
AGE = 300.0


def knows(ring: Keyring, *keys: object) -> list[bool]:
    """Say for each key whether its tokens find it."""
    found = []
    for key in keys:
        try:
            ring.choose(token(key))  # type: ignore[arg-type]
        except TokenRejected:
            found.append(False)
        else:
            found.append(True)
    return found


@pytest.fixture
def address() -> Iterator[Address]:
    with published(jwks(OLD)) as serving:
        yield serving


def asking(address: Address) -> Keyring:
    ring = Keyring(AddressSource(address.url, AGE))
    ring.load(0.0)
    return ring


async def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("text", "said"), [(b"{", "it is not JSON"), (None, "No such file or directory"), (b" " * 1_048_577, "longer")]
)
async def test_a_file_that_is_no_set_any_more_leaves_the_old_keys(
    tmp_path: Path, text: bytes | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(OLD))
    ring = Keyring(FileSource(path))
    ring.load(0.0)
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    for _ in range(3):
        await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD, NEW) == [True, False]
    (line,) = caplog.messages
    assert line.startswith(f"the keys stay as they were: {path}: ")
    assert said in line
    path.write_bytes(jwks(NEW))
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD, NEW) == [False, True]


async def test_an_address_is_asked_again_for_an_unknown_key(address: Address) -> None:
    ring = asking(address)
    await ring.refresh(token(OLD), 1.0)
    assert address.asked == 1
    address.body = jwks(OLD, NEW)
    await ring.refresh(token(NEW), 1.0)
    assert (knows(ring, OLD, NEW), address.asked) == ([True, True], 2)


async def test_an_address_is_asked_again_when_its_keys_are_old(address: Address) -> None:
    ring = asking(address)
    address.body = jwks(NEW)
    await ring.refresh(token(OLD), AGE - 0.1)
    assert knows(ring, OLD) == [True]
    await ring.refresh(token(OLD), AGE)
    assert (knows(ring, OLD, NEW), address.asked) == ([False, True], 2)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ([("Cache-Control", "max-age=20")], 20),
        ([("Cache-Control", "public, Max-Age=20, must-revalidate")], 20),
        ([("Cache-Control", 'max-age="20"')], 20),
        ([("Cache-Control", "public"), ("Cache-Control", "max-age=20")], 20),
        ([("Cache-Control", "max-age=30"), ("Age", "10")], 20),
        ([("Cache-Control", "max-age=5"), ("Age", "10")], 0),
        ([("Cache-Control", "max-age=20"), ("Age", "old")], 20),
        ([("Cache-Control", "no-store")], 0),
        ([("Cache-Control", "private, no-cache, max-age=20")], 0),
        ([("Cache-Control", "max-age=9999")], AGE),
        ([("Cache-Control", "max-age=soon")], AGE),
        ([("Cache-Control", "s-maxage=20")], AGE),
    ],
)
async def test_an_answer_says_how_long_it_may_be_kept(
    address: Address, said: list[tuple[str, str]], seconds: float
) -> None:
    address.headers = said
    ring = asking(address)
    assert ring.stale(token(OLD), seconds)
    assert not seconds or not ring.stale(token(OLD), seconds - 0.1)


async def test_invented_keys_are_no_flood(address: Address) -> None:
    ring = asking(address)
    for _ in range(20):
        await ring.refresh(token(pair()), 0.0)
    assert address.asked == 1 + 3
    for second in range(20):
        await ring.refresh(token(pair()), float(second))
    assert address.asked <= 1 + 3 + 10


async def test_what_no_set_could_have_is_not_asked_for(address: Address) -> None:
    ring = asking(address)
    for text in ("", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"):
        await ring.refresh(text, 0.0)
    assert address.asked == 1


async def test_those_who_wait_together_are_served_by_one_question(address: Address) -> None:
    ring = asking(address)
    address.body, address.held = jwks(NEW), threading.Event()
    address.reached.clear()
    waiting = [asyncio.create_task(ring.refresh(token(NEW), 0.0)) for _ in range(5)]
    await asyncio.to_thread(address.reached.wait)
    await ring.refresh(token(OLD), 0.0)  # a key that is known doesn't wait for others
    assert not any(task.done() for task in waiting)
    address.held.set()
    await asyncio.gather(*waiting)
    assert (knows(ring, NEW), address.asked) == ([True], 2)


async def test_a_key_that_is_published_while_an_answer_is_under_way_is_found(address: Address) -> None:
    ring = asking(address)
    address.held = threading.Event()
    address.reached.clear()
    first = asyncio.create_task(ring.refresh(token(pair()), 0.0))
    await asyncio.to_thread(address.reached.wait)
    address.body = jwks(NEW)  # the answer under way still says the old keys
    second = asyncio.create_task(ring.refresh(token(NEW), 0.0))
    await asyncio.sleep(0)
    address.held.set()
    await asyncio.gather(first, second)
    assert (knows(ring, NEW), address.asked) == ([True], 3)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "the answer is 404 Not Found"),
        (302, b"", "the answer is 302 Found"),
        (799, b"", "the answer is 799"),
        (200, b"<html>", "it is not JSON"),
        (200, b'{"keys":[]}', "no key in it"),
        (200, b" " * 1_048_577, "longer than 1048576 bytes"),
        (200, b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "key 1 is a secret"),
    ],
)
async def test_an_answer_that_is_no_set_leaves_the_old_keys(
    address: Address, status: int, body: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    ring = asking(address)
    address.status, address.body = status, body
    address.headers = [("Location", address.url)]
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD, NEW) == [True, False]
    (line,) = caplog.messages
    assert said in line
    assert "c2VjcmV0" not in line
    address.status, address.body = 200, jwks(NEW)
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, NEW) == [True]


async def test_nobody_at_the_address_leaves_the_old_keys(caplog: pytest.LogCaptureFixture) -> None:
    with published(jwks(OLD)) as address:
        ring = asking(address)
    await ring.refresh(token(NEW), 0.0)
    assert knows(ring, OLD) == [True]
    assert caplog.messages == [f"the keys stay as they were: {address.url}: Connection refused"]


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", b""]
)
def test_what_is_no_http_is_named(answer: bytes) -> None:
    class Talker(ThreadingHTTPServer):
        def finish_request(self, request: object, client_address: object) -> None:
            request.recv(4096)  # type: ignore[attr-defined]
            request.sendall(answer)  # type: ignore[attr-defined]

    with Talker(("127.0.0.1", 0), None) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises((ValueError, OSError)) as caught:
            AddressSource(f"http://127.0.0.1:{server.server_address[1]}/", AGE).read(0.0)
        thread.join()
    assert reason(caught.value)


def test_a_query_is_asked_with_and_never_shown(address: Address) -> None:
    source = AddressSource(f"{address.url}?key=hush", AGE)
    source.read(0.0)
    assert address.paths == ["/jwks.json?key=hush"]
    assert str(source) == address.url
    AddressSource(address.url.removesuffix("/jwks.json"), AGE).read(0.0)
    assert address.paths[-1] == "/"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no address of the form"),
        ("jwks.json", "no address of the form"),
        ("ftp://127.0.0.1/x", "no address of the form"),
        ("file:///etc/jwks.json", "no address of the form"),
        ("https://", "no address of the form"),
        ("https://issuer.example/a b", "no address of the form"),
        ("https://issuer.example/\n", "no address of the form"),
        ("https://ä.example/", "no address of the form"),
        ("https://[::1/x", "it is no address"),
        ("https://issuer.example:x/", "it is no address"),
        ("https://issuer.example:65536/", "it is no address"),
        ("https://me:hush@issuer.example/", "no user and no password"),
        ("http://issuer.example/jwks.json", "issuer.example isn't loopback, so it must be https"),
        ("http://192.0.2.1/", "192.0.2.1 isn't loopback"),
    ],
)
def test_an_address_that_cannot_serve_is_named(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        AddressSource(url, AGE)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://[::1]:1/", "http://127.0.0.1/", "https://192.0.2.1/x"])
def test_an_address_that_can_serve(url: str) -> None:
    assert str(AddressSource(url, AGE)) == url


def test_https_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_key_that_is_left_out_is_named_once(address: Address, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    address.body = b'{"keys":[{"kty":"AKP"},' + jwks(OLD).removeprefix(b'{"keys": [')
    ring = asking(address)
    assert caplog.messages == [f"{address.url}: key 1 is skipped: its kty is not one of RSA, EC, OKP"]
    await ring.refresh(token(NEW), 0.0)
    assert (address.asked, len(caplog.messages)) == (2, 1)
