"""Ways to be wrong about TLS."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

from cbspec.protocol.tls import TlsFailed, TlsLayer, server_context
from cbspec_simulator.relay.behaviour import ByteLayer
from cbspec_simulator.variations.compose import Change, both, part
from cbspec_simulator.variations.deviations.kind import Deviation

_EVERYTHING = "ALL:@SECLEVEL=0"
_METHOD = b"GET "


def _versions(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, *without: ssl.Options) -> Change:
    """Serve the versions of TLS from `lowest` to `highest`, some left out."""

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


class _NoAlert(TlsLayer):
    """Says nothing when a handshake fails."""

    __slots__ = ()

    def receive_data(self, data: bytes) -> bytes:
        try:
            return super().receive_data(data)
        except TlsFailed:
            self.data_to_send()
            raise


class _OldForHttp(TlsLayer):
    """Goes on with an old version of TLS only where the client begins with an HTTP request."""

    __slots__ = ("_heard",)

    def receive_data(self, data: bytes) -> bytes:
        plain = super().receive_data(data)
        heard = self._heard = getattr(self, "_heard", b"") + plain[: len(_METHOD)]
        if self.version != "TLSv1.3" and heard and not _METHOD.startswith(heard[: len(_METHOD)]):
            self.ended = True
            return b""
        return plain


class _PlainText:
    """No TLS at all."""

    __slots__ = ("_unsent", "ended", "established")

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
        """Nothing says goodbye here."""

    def data_to_send(self) -> bytes:
        data = bytes(self._unsent)
        self._unsent.clear()
        return data


class _EitherLayer:
    """TLS for whoever begins with a TLS record, plain text for anybody else."""

    __slots__ = ("_context", "_layer", "_plain")

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
            self._layer = _PlainText()
        return self._chosen.receive_data(data)

    def receive_eof(self) -> None:
        self._chosen.receive_eof()

    def send(self, data: bytes) -> None:
        self._chosen.send(data)

    def close(self) -> None:
        self._chosen.close()

    def data_to_send(self) -> bytes:
        return self._chosen.data_to_send()


DEVIATIONS = (
    Deviation(
        "tls-1.3-refused",
        "CB-TLS-001",
        "TLS 1.2 is spoken, and nothing newer.",
        _versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    ),
    Deviation(
        "tls-1.2-accepted",
        "CB-TLS-002",
        "TLS 1.2 is spoken besides TLS 1.3.",
        _versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ),
    Deviation(
        "tls-1.2-for-websocket",
        "CB-TLS-002",
        "TLS 1.2 is spoken with whoever opens a WebSocket.",
        both(
            _versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
            part(layer=lambda context: _OldForHttp(context, server_side=True)),
        ),
    ),
    Deviation(
        "tls-1.1-accepted",
        "CB-TLS-003",
        "TLS 1.1 is spoken besides TLS 1.3.",
        _versions(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_2),
    ),
    Deviation(
        "tls-1.0-accepted",
        "CB-TLS-004",
        "TLS 1.0 is spoken besides TLS 1.3.",
        _versions(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_2, ssl.OP_NO_TLSv1_1),
    ),
    Deviation(
        "tls-no-alert",
        "CB-TLS-006",
        "A handshake that fails ends without an alert.",
        part(layer=lambda context: _NoAlert(context, server_side=True)),
    ),
    Deviation(
        "plain-text-served",
        "CB-TLS-005",
        "Whoever doesn't begin with TLS is served without it.",
        part(layer=_EitherLayer),
    ),
    Deviation(
        "plain-websocket-served",
        "CB-TLS-005",
        "Whoever begins with an HTTP request is served without TLS.",
        part(layer=lambda context: _EitherLayer(context, b"GET ")),
    ),
    Deviation(
        "plain-object-served",
        "CB-TLS-005",
        "Whoever begins with a brace is served without TLS.",
        part(layer=lambda context: _EitherLayer(context, b"{")),
    ),
)
