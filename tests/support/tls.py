"""Two ends of the TLS layer, connected in memory, and their certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from cbspec.protocol.tls import TlsLayer


def write_certificates(folder: Path, *names: str) -> Path:
    """Write for each name a CA, NAME-ca.pem, and a server certificate of it, NAME-server.pem; return the folder."""
    for name in names:
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / f"{name}-ca.pem")
        leaf = ca.issue_cert("localhost", "127.0.0.1", "::1", "relay.example")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-server.pem")
    return folder


def ends(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> tuple[TlsLayer, TlsLayer]:
    """Return a client and a server before their handshake."""
    return TlsLayer(client, server_side=False, server_name=name), TlsLayer(server, server_side=True)


def exchange(client: TlsLayer, server: TlsLayer) -> tuple[bytes, bytes]:
    """Exchange bytes until neither end has any to send; return the plain text of each end."""
    to_client, to_server = bytearray(), bytearray()
    while True:
        up, down = client.data_to_send(), server.data_to_send()
        if not up and not down:
            return bytes(to_client), bytes(to_server)
        to_server += server.receive_data(up)
        to_client += client.receive_data(down)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> tuple[TlsLayer, TlsLayer]:
    """Return a client and a server after their handshake."""
    both = ends(client, server, name)
    exchange(*both)
    assert both[0].established
    assert both[1].established
    return both
