"""Capture files, read by tshark: packets without faults, and the JSON of a failing run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cbspec_conformance.record.capture import CapturedConnection, Captures, Piece, PieceKind
from cbspec_conformance.reporting.pcapng import PcapngFile
from tests.conformance.commands import simulator, verify
from tests.support.processes import program

FAULTS = "tcp.analysis.flags or tcp.checksum.status == 0 or ip.checksum.status == 0 or _ws.malformed"


def tshark(file: Path, *options: str) -> list[str]:
    """Return the lines that tshark prints; the checksums are verified."""
    command = [program("tshark", "tshark"), "-r", str(file), "-o", "tcp.check_checksum:TRUE"]
    done = subprocess.run(
        [*command, "-o", "ip.check_checksum:TRUE", *options], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_packets_carry_the_bytes_with_right_numbers_and_checksums(tmp_path: Path) -> None:
    sent, received = b"0123456789" * 501, b"abcdefg" * 10_000
    ends = ((PieceKind.FIN_SENT, PieceKind.FIN_RECEIVED), (PieceKind.RESET_RECEIVED,), (PieceKind.CUT,))
    cases = [(host, end) for host in ("192.0.2.7", "2001:db8::7") for end in ends]
    (keys := tmp_path / "keys").touch()
    file = tmp_path / "x.pcapng"
    written = PcapngFile(file, "a run", keys)
    for number, (host, end) in enumerate(cases):
        ways = [
            (PieceKind.SENT, b"x"),
            (PieceKind.RECEIVED, received),
            (PieceKind.SENT, sent),
            *((way, b"") for way in end),
        ]
        pieces = [Piece(1.5 + at / 1000, way, data) for at, (way, data) in enumerate(ways)]
        written.add(
            [CapturedConnection(1, (host, 50000), (host, 50001 + number), 1.5, pieces, "a case", decisive=1.501)]
        )
    written.close()
    assert tshark(file, "-Y", FAULTS) == []
    fields = ("tcp.srcport", "tcp.payload", "frame.comment", "frame.time_epoch", "tcp.stream")
    rows = [line.split("\t") for line in tshark(file, "-T", "fields", *(x for name in fields for x in ("-e", name)))]
    for number, (_, end) in enumerate(cases):
        mine = [row for row in rows if row[4] == str(number)]
        for port, data in (("50000", b"x" + sent), (str(50001 + number), received)):
            assert bytes.fromhex("".join(row[1] for row in mine if row[0] == port)) == data
        assert mine[0][2].startswith("a case")
        assert ("cut: " in mine[0][2]) == (PieceKind.CUT in end)
        assert [row[3] for row in mine if row[2] == "the decisive request"] == ["1.502000000"]


def test_a_case_keeps_a_bounded_number_of_bytes() -> None:
    captures, connection = Captures(), CapturedConnection(1, ("127.0.0.1", 1), ("127.0.0.1", 2), 0.0)
    recorder = captures.begin(connection, lambda: 1.0)
    for _ in range(70):
        recorder.add(PieceKind.RECEIVED, bytes(1 << 16))
    assert [piece.way for piece in connection.pieces] == [PieceKind.RECEIVED] * 64 + [PieceKind.CUT]
    later = CapturedConnection(2, ("127.0.0.1", 3), ("127.0.0.1", 2), 0.0)
    captures.begin(later, lambda: 2.0).add(PieceKind.SENT, b"more")
    assert [piece.way for piece in later.pieces] == [PieceKind.CUT]


def test_tshark_shows_the_messages_of_a_failing_run(tmp_path: Path) -> None:
    file, cases = tmp_path / "run.pcapng", "CB-HEL-001,CB-HEL-002,CB-TUN-002"
    with simulator(tmp_path, "--deviation", "hello-version-missing") as profile:
        options = ("--only", cases, "--own-cases", "--jobs", "2", "--pcapng", str(file))
        done = verify("--profile", str(profile), *options, TMPDIR=str(tmp_path))
    assert done.code == 1, done.text
    assert list(tmp_path.glob("cbspec-keys-*")) == []  # the keys are in the file, and nowhere else
    assert file.stat().st_mode & 0o777 == 0o600
    assert tshark(file, "-Y", FAULTS) == []
    comments = [line for line in tshark(file, "-T", "fields", "-e", "frame.comment") if line]
    assert any("CB-HEL-002: expected" in line for line in comments)
    assert "the decisive request" in comments
    for stream in ("0", "1"):
        lines = tshark(file, "-q", "-z", f"follow,tls,raw,{stream}")[6:-1]
        sides = [
            b"".join(bytes.fromhex(line) for line in lines if line.startswith("\t") == ours) for ours in (True, False)
        ]
        by_type = {each["type"]: each for side in sides for each in map(json.loads, side.splitlines())}
        assert by_type["hello"]["version"] == "1.0"
        assert "version" not in by_type["hello_response"]
