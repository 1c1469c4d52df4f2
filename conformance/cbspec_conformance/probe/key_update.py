"""A TLS 1.3 KeyUpdate on a connection of Python's `ssl`, which has no method for it. Source: RFC 8446, 4.6.3.

OpenSSL has one, so it is called in the library that `ssl` itself uses.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

_REQUESTED: Final = 1  # SSL_KEY_UPDATE_REQUESTED of OpenSSL's ssl.h


@cache
def key_update_call() -> Callable[[ctypes.c_void_p, int], int] | None:
    """Return OpenSSL's SSL_key_update, or None if this Python doesn't give access to it."""
    file: str | None = getattr(_ssl, "__file__", None)  # None: part of the interpreter
    if sys.implementation.name != "cpython":
        return None
    try:
        found: Any = ctypes.CDLL(file).SSL_key_update
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int
    call: Callable[[ctypes.c_void_p, int], int] = found
    return call


def request_key_update(connection: ssl.SSLObject) -> bool:
    """Write a KeyUpdate with update_requested to a connection's buffer; return whether that is possible."""
    call, pointer = key_update_call(), _pointer(connection)
    if call is None or pointer is None or call(pointer, _REQUESTED) != 1:
        return False
    connection.do_handshake()  # writes it
    return True


def _pointer(connection: ssl.SSLObject) -> ctypes.c_void_p | None:
    """Return the SSL* of a connection: the second of three pointers, the last of which is the known context's."""
    inner = getattr(connection, "_sslobj", None)
    if inner is None or sys.implementation.name != "cpython":
        return None
    _, pointer, context = (ctypes.c_void_p * 3).from_address(id(inner) + object.__basicsize__)
    return ctypes.c_void_p(pointer) if context == id(connection.context) else None
