"""Deviations of TLS: old versions, plain text and alerts."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.tls_contexts import server_context
from cbspec_simulator.relay.behaviour import ByteLayer
from cbspec_simulator.variations.parts import Change, layered, part

_EVERYTHING = "ALL:@SECLEVEL=0"


def _versions(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, *without: ssl.Options) -> Change:
    """Serve the versions of TLS from `lowest` to `highest` except some."""

    def context(chain: Path, key: Path | None) -> ssl.SSLContext:
        made = server_context(chain, key)
        made.set_ciphers(_EVERYTHING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.maximum_version = highest
            made.minimum_version = lowest
            for option in without:
                made.options |= option
        return made

    return part(tls=context)


class _SilentLayer(TlsLayer):
    """Sends no alert when a handshake fails."""

    def receive_data(self, data: bytes) -> bytes:
        try:
            return super().receive_data(data)
        except TlsFailed:
            self.data_to_send()
            raise


class _PlainLayer:
    """Passes data without TLS."""

    def __init__(self) -> None:
        self._unsent = bytearray()
        self.established = True
        self.ended = False

    def receive_data(self, data: bytes) -> bytes:
        return data

    def receive_eof(self) -> None:
        self.ended = True

    def send(self, data: bytes) -> None:
        self._unsent += data

    def close(self) -> None:
        """Do nothing: plain text has no close_notify."""

    def data_to_send(self) -> bytes:
        data = bytes(self._unsent)
        self._unsent.clear()
        return data


class _EitherLayer:
    """Uses TLS if a client begins with a TLS record, and plain text otherwise."""

    def __init__(self, context: ssl.SSLContext, plain: bytes = b"") -> None:
        self._context = context
        self._plain = plain
        self._layer: ByteLayer | None = None

    @property
    def _chosen(self) -> ByteLayer:
        if self._layer is None:
            self._layer = TlsLayer(self._context, server_side=True)
        return self._layer

    @property
    def established(self) -> bool:
        return self._layer is not None and self._layer.established

    @property
    def ended(self) -> bool:
        return self._layer is not None and self._layer.ended

    def receive_data(self, data: bytes) -> bytes:
        if self._layer is None and data[:1] != b"\x16" and data.startswith(self._plain):
            self._layer = _PlainLayer()
        return self._chosen.receive_data(data)

    def receive_eof(self) -> None:
        self._chosen.receive_eof()

    def send(self, data: bytes) -> None:
        self._chosen.send(data)

    def close(self) -> None:
        self._chosen.close()

    def data_to_send(self) -> bytes:
        return self._chosen.data_to_send()


_1_0, _1_1, _1_2, _1_3 = (
    ssl.TLSVersion.TLSv1,
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)

CHANGES: dict[str, Change] = {
    "tls-1.3-refused": _versions(_1_2, _1_2),
    "tls-1.2-accepted": _versions(_1_2, _1_3),
    "tls-1.1-accepted": _versions(_1_1, _1_3, ssl.OP_NO_TLSv1_2),
    "tls-1.0-accepted": _versions(_1_0, _1_3, ssl.OP_NO_TLSv1_2, ssl.OP_NO_TLSv1_1),
    "plain-text-served": part(layer=_EitherLayer),
    "tls-no-alert": layered(_SilentLayer),
}
