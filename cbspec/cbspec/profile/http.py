"""HTTP requests to addresses of a profile: directly if possible, else through a proxy of the environment."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.parse
import urllib.request
from typing import Final

from cbspec.profile.identity import is_loopback

_OF_PROXIES: Final = (403, 407, 502, 503, 504)
"""HTTP statuses by which a proxy reports its own failure; they may also be the server's."""

_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProxyFailed(OSError):
    """A proxy of the environment failed, and the server can't be reached without it: no fault of the server."""


def fetch(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Return the answer to a request with a status below 400. `timeout` is in seconds.

    The proxy in http_proxy or https_proxy is used if the server can't be reached directly and is not on loopback.
    Raises urllib.error.HTTPError for another status, ProxyFailed, other OSErrors, ValueError or HTTPException.
    """
    host, proxy = request.host, _proxy(request)  # through a proxy, `host` becomes that of the proxy
    try:
        return _sent(_DIRECT, request, timeout)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if not proxy:
            raise
        direct = why(error)
    try:
        return _sent(urllib.request.build_opener(), request, timeout)
    except urllib.error.HTTPError as error:
        if error.code not in _OF_PROXIES:
            raise
        error.close()
        reason = f"HTTP status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        reason = why(error)
    failed = f"no direct connection ({direct}), and the proxy {proxy} failed ({reason})"
    raise ProxyFailed(f"{failed}: change {request.type}_proxy, or add {host} to no_proxy")


def why(error: Exception) -> str:
    """Return the system's description of a failed request."""
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause)


def _sent(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> http.client.HTTPResponse:
    response: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    return response


def _proxy(request: urllib.request.Request) -> str:
    """Return the host of the proxy that the environment names for a request, without a password; "" if none."""
    host = urllib.parse.urlsplit(request.full_url).hostname or ""
    proxy = urllib.request.getproxies().get(request.type, "")
    if not proxy or urllib.request.proxy_bypass(request.host) or _is_here(host):
        return ""
    return proxy.rpartition("@")[2]


def _is_here(host: str) -> bool:
    """Whether a host is this machine, also by a name for it."""
    if is_loopback(host):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(sockaddr[0])) for *_, sockaddr in found)
