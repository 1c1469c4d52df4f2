"""An issuer: key pairs, and an HTTP server that publishes the public keys."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cbspec.tokens.jwks import key_id, public_jwk
from cbspec.tokens.jwt import SigningKey, mint, new_pair


def pair(algorithm: str = "EdDSA") -> SigningKey:
    """Make a key pair."""
    return SigningKey.from_pem(new_pair(algorithm), algorithm)


def jwks(*keys: SigningKey) -> bytes:
    """Return a key set document."""
    return json.dumps({"keys": [public_jwk(key) for key in keys]}).encode()


def token(key: SigningKey, tenant: str = "tenant-001", **claims: object) -> str:
    """Mint a token that is valid for a day and names its key."""
    all_claims = {"sub": "user123", "tenant_id": tenant, "exp": int(time.time()) + 86_400, **claims}
    return mint(key, all_claims, {"kid": key_id(key)})


class KeyAddress:
    """The answer of a server and its number of requests; if `held` is set, answers wait for that event."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 200
        self.headers: Sequence[tuple[str, str]] = ()
        self.asked = 0
        self.paths: list[str] = []
        self.held: threading.Event | None = None
        self.reached = threading.Event()
        self.url = ""


@contextmanager
def published(body: bytes, context: ssl.SSLContext | None = None) -> Iterator[KeyAddress]:
    """Serve a document on a free port, over TLS if there is a context."""
    address = KeyAddress(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address.asked += 1
            address.paths.append(self.path)
            body, status = address.body, address.status
            address.reached.set()
            if address.held is not None:
                address.held.wait()
            self.send_response(status)
            for name, value in address.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        address.url = f"https://localhost:{port}/jwks.json" if context else f"http://127.0.0.1:{port}/jwks.json"
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
