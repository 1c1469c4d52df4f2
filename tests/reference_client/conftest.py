"""Certificates, and a relay that is ready in one line."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import trustme

from cbspec.protocol.tls import server_context
from cbspec_client import Client, Timeouts, connect
from tests.support.relay import MessageScript, ScriptedRelay, happy

TIMEOUTS = Timeouts(connect=20.0, answer=20.0, heartbeat=20.0, close=5.0)
"""Long enough for a busy machine; a test that waits for a time-out sets its own."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with our CA's certificate and a server's, and the same of a stranger's."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("our", "their"):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / f"{name}-ca.pem")
        leaf = ca.issue_cert("localhost", "127.0.0.1", "::1", "relay.example")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-server.pem")
    return folder


@pytest.fixture(scope="session")
def ca(certificates: Path) -> Path:
    """Give the CA's file that vouches for the scripted relay."""
    return certificates / "our-ca.pem"


@pytest.fixture(scope="session")
def context(certificates: Path) -> ssl.SSLContext:
    """Give the scripted relay's TLS context."""
    return server_context(certificates / "our-server.pem")


MakeRelay = Callable[..., AbstractAsyncContextManager[ScriptedRelay]]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def relay(context: ssl.SSLContext) -> MakeRelay:
    """Give a way to start a scripted relay."""

    def start(script: MessageScript = happy) -> AbstractAsyncContextManager[ScriptedRelay]:
        return ScriptedRelay(context, script).serving()

    return start


@pytest.fixture
def connecting(ca: Path) -> Connect:
    """Give `connect` with the relay's address and CA filled in; it takes the port."""
    return partial(connect, "127.0.0.1", ca=ca, timeouts=TIMEOUTS)
