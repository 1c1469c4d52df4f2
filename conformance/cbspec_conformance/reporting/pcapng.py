"""A capture file of connections with the secrets that decrypt them, for Wireshark.

The probe sees the bytes of a connection, not its packets. So Ethernet, IP and TCP headers are made here, with the real
addresses, ports and times, and sequence numbers that fit the bytes. Source: draft-ietf-opsawg-pcapng (blocks and
options), RFC 791, RFC 8200, RFC 9293. python-pcapng, the library for such files, has no Decryption Secrets Blocks.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Final

from cbspec_conformance.record.capture import CapturedConnection, PieceKind

_SECTION, _INTERFACE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 6, 10
_COMMENT, _APPLICATION, _RESOLUTION = 1, 4, 9  # numbers of options
_ETHERNET, _TLS_KEY_LOG = 1, 0x544C534B
_MOST: Final = 1440  # bytes of data in one packet, as on a usual network
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_MACS: Final = (b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02")  # locally administered
_ENDS: Final = {
    PieceKind.FIN_SENT: (True, _FIN | _ACK),
    PieceKind.FIN_RECEIVED: (False, _FIN | _ACK),
    PieceKind.RESET_SENT: (True, _RST | _ACK),
    PieceKind.RESET_RECEIVED: (False, _RST | _ACK),
}


class PcapngFile:
    """Writes connections to a file, each with its secrets before it. Errors of the system are OSErrors.

    Arguments: `file` is replaced, with access for its owner only; `about` describes the run; `keys` is the key log,
    of which only new lines are read.
    """

    def __init__(self, file: Path, about: str, keys: Path) -> None:
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        self._file: BinaryIO = file.open("wb")
        self._keys = keys
        self._read = keys.stat().st_size
        self._lines: dict[str, list[str]] = {}
        self._begin(about)

    def add(self, connections: Sequence[CapturedConnection]) -> None:
        """Write the connections of one case."""
        self._read_keys()
        names = dict.fromkeys(each.client_random.hex() for each in connections)
        if text := "".join(line for name in names for line in self._lines.get(name, ())):
            self._block(_SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(text)) + _padded(text.encode()))
        made = (packet for each in connections for packet in packets(each))
        for at, comment, packet in sorted(made, key=itemgetter(0)):
            head = struct.pack("<IIIII", 0, *divmod(round(at * 1e6), 1 << 32), len(packet), len(packet))
            self._block(_PACKET, head + _padded(packet) + _options({_COMMENT: comment}))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin(self, about: str) -> None:
        head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        self._block(_SECTION, head + _options({_COMMENT: about, _APPLICATION: "cbspec verify --pcapng"}))
        self._block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0) + _options({_RESOLUTION: b"\x06"}))
        self._file.flush()

    def _block(self, kind: int, body: bytes) -> None:
        size = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + size + body + size)

    def _read_keys(self) -> None:
        with self._keys.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode("ascii", "replace").splitlines(keepends=True):
            words = line.split(" ")
            if len(words) == 3 and line not in (known := self._lines.setdefault(words[1], [])):
                known.append(line)


def packets(connection: CapturedConnection) -> Iterator[tuple[float, str, bytes]]:
    """Yield the packets of a connection: the time, a comment ("": none) and the bytes from the Ethernet header on."""
    ours, theirs = 1, 1
    cut = "".join(f"\n{piece.way}" for piece in connection.pieces if piece.way is PieceKind.CUT)
    yield connection.began, connection.comment + cut, _packet(connection, True, 0, 0, _SYN)
    yield connection.began, "", _packet(connection, False, 0, 1, _SYN | _ACK)
    yield connection.began, "", _packet(connection, True, 1, 1, _ACK)
    marked = not connection.decisive
    for piece in connection.pieces:
        if piece.way in _ENDS:
            sent, flags = _ENDS[piece.way]
            yield piece.at, "", _packet(connection, sent, *((ours, theirs) if sent else (theirs, ours)), flags)
            ours, theirs = (ours + 1, theirs) if sent else (ours, theirs + 1)
        sent = piece.way is PieceKind.SENT
        for start in range(0, len(piece.data), _MOST):
            data = piece.data[start : start + _MOST]
            mark = not marked and sent and piece.at >= connection.decisive
            marked = marked or mark
            numbers = (ours, theirs) if sent else (theirs, ours)
            yield piece.at, _DECISIVE * mark, _packet(connection, sent, *numbers, _PSH | _ACK, data)
            ours, theirs = (ours + len(data), theirs) if sent else (ours, theirs + len(data))


_DECISIVE: Final = "the decisive request"


def _packet(
    connection: CapturedConnection, sent: bool, number: int, acknowledged: int, flags: int, data: bytes = b""
) -> bytes:
    """Return a packet: Ethernet, IP and TCP headers, and data."""
    ends, macs = (connection.source, connection.target), _MACS
    (source, port), (target, to) = ends if sent else ends[::-1]
    macs = macs if sent else macs[::-1]
    addresses = [ipaddress.ip_address(host.partition("%")[0]) for host in (source, target)]
    both = b"".join(address.packed for address in addresses)
    words = (port, to, number & 0xFFFFFFFF, (acknowledged if flags & _ACK else 0) & 0xFFFFFFFF, 5 << 12 | flags, 0xFFFF)
    pseudo = both + struct.pack(">II", 20 + len(data), 6)
    check = _checksum(pseudo + struct.pack(">HHIIHHHH", *words, 0, 0) + data)
    tcp = struct.pack(">HHIIHHHH", *words, check, 0) + data
    if addresses[0].version == 6:
        return macs[1] + macs[0] + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + both + tcp
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + both
    ip = ip[:10] + struct.pack(">H", _checksum(ip)) + ip[12:]
    return macs[1] + macs[0] + b"\x08\x00" + ip + tcp


def _checksum(data: bytes) -> int:
    """Return the Internet checksum. Source: RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _options(values: dict[int, str | bytes]) -> bytes:
    """Return the options of a block; an empty one is left out."""
    found = {number: value.encode() if isinstance(value, str) else value for number, value in values.items() if value}
    each = b"".join(struct.pack("<HH", number, len(data)) + _padded(data) for number, data in found.items())
    return each + bytes(4) if each else b""


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
