"""Requests in an environment with proxies."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from cbspec.profile import http
from cbspec.profile.http import ProxyFailed, fetch, why
from tests.support.relay import Script, serving

PATIENCE = 10.0
NOWHERE = "http://relay.invalid/metrics"

SetProxy = Callable[[str], None]


@pytest.fixture
def set_proxy(monkeypatch: pytest.MonkeyPatch) -> SetProxy:
    """Give a function that sets the variables of a proxy in every spelling."""

    def put(address: str) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://user:password@{address}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

    return put


def answering(status: str, body: str) -> Script:
    def run(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    return run


def read(url: str) -> bytes:
    with fetch(urllib.request.Request(url), PATIENCE) as response:  # noqa: S310 - our own
        return response.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_needs_no_proxy(host: str, set_proxy: SetProxy) -> None:
    with serving(answering("200 OK", "proxy")) as proxy, serving(answering("200 OK", "relay")) as relay:
        set_proxy(str(proxy))
        assert read(f"http://{host}:{relay.port}/") == b"relay"
    with pytest.raises(OSError, match="refused") as caught:
        read(f"http://{host}:{relay.port}/")
    assert not isinstance(caught.value, ProxyFailed)


def test_a_server_that_answers_directly_needs_no_proxy(set_proxy: SetProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_is_here", lambda host: False)
    set_proxy("127.0.0.1:1")
    with serving(answering("404 Not Found", "")) as relay:
        with pytest.raises(urllib.error.HTTPError) as caught:
            read(f"http://{relay}/")
        caught.value.close()


def test_a_proxy_is_used_for_other_addresses(set_proxy: SetProxy) -> None:
    with serving(answering("200 OK", "proxy")) as proxy:
        set_proxy(str(proxy))
        assert read(NOWHERE) == b"proxy"


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", ""])
def test_a_failing_proxy_is_named(status: str, set_proxy: SetProxy) -> None:
    with serving(answering(status, "") if status else lambda sock: None) as proxy:
        set_proxy(str(proxy))
        with pytest.raises(ProxyFailed, match=rf"the proxy {proxy} failed \(.*change http_proxy, or add relay.invalid"):
            read(NOWHERE)


def test_without_a_proxy_the_error_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(urllib.error.URLError):
        read(NOWHERE)
    with pytest.raises(urllib.error.URLError) as caught:
        read("http://127.0.0.1:1/")
    assert (why(caught.value), why(ValueError("no URL"))) == ("Connection refused", "no URL")
