"""Rows from bytes: the same however the bytes are divided, and read back as they were written."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_conformance.tap.facts import Secrets
from cbspec_conformance.tap.pairing import connections_of
from cbspec_conformance.tap.reader import TapReader
from cbspec_conformance.tap.rows import HowEnded, Row, Side, TapHeader, TapMessage, TapOpened, line_of, read_rows
from cbspec_conformance.tap.verdict import judge_rows
from tests.support.client import UPGRADE, frame
from tests.support.messages import BEAT, HELLO, auth, line, tunnel

SESSION = (HELLO, auth(), tunnel("t"), BEAT)
STREAM = b"".join(map(line, SESSION))
SOCKET = UPGRADE + b"\r\n" + b"".join(frame(line(each).rstrip()) for each in SESSION)
HEADER = TapHeader(1, "relay:1", "tap:2", 1_800_000_000.0, 5.0)


def rows_of(side: Side, *chunks: bytes) -> list[Row]:
    """Return the rows of a side's bytes."""
    rows: list[Row] = [TapOpened(0.0, 1, "127.0.0.1:5")]
    reader = TapReader(1, rows.append, Secrets())
    for chunk in chunks:
        reader.received(side, chunk, 1.0)
    reader.ended(side, HowEnded.FIN, 2.0)
    return rows


def divided(data: bytes, places: list[int]) -> list[bytes]:
    """Return bytes, divided at some places."""
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(cuts)]


@given(st.sampled_from([STREAM, SOCKET]), st.lists(st.integers(0, 4000), max_size=12))
def test_the_division_of_bytes_changes_no_row(data: bytes, places: list[int]) -> None:
    whole, pieces = rows_of(Side.CLIENT, data), rows_of(Side.CLIENT, *divided(data, places))
    assert len(whole) == len(pieces)
    for kind in {type(row) for row in whole}:  # a message and its frame may change places
        assert [row for row in pieces if type(row) is kind] == [row for row in whole if type(row) is kind]


@given(st.lists(st.binary(max_size=80), max_size=6), st.sampled_from(list(Side)))
@settings(max_examples=60)
def test_any_bytes_give_rows_that_can_be_judged(chunks: list[bytes], side: Side) -> None:
    rows = rows_of(side, *chunks)
    judge_rows(HEADER, rows)
    read = [msgspec.convert(json.loads(line_of(row)), type(row)) for row in rows]
    assert [line_of(row) for row in read] == [line_of(row) for row in rows]


def test_a_file_gives_the_rows_back_but_for_an_incomplete_line(tmp_path: Path) -> None:
    rows, file = rows_of(Side.CLIENT, STREAM), tmp_path / "tap.jsonl"
    file.write_bytes(b"".join(map(line_of, [HEADER, *rows])) + b'{"row":"do')
    assert read_rows(file) == (HEADER, rows)


def test_a_long_message_keeps_its_type_only() -> None:
    (row,) = (row for row in rows_of(Side.CLIENT, line(tunnel("x" * 70_000))) if isinstance(row, TapMessage))
    assert row.cut
    assert row.value == {"type": "tunnel_info"}


def test_answers_belong_to_the_requests_that_they_fit() -> None:
    rows: list[Row] = [TapOpened(0.0, 1, "127.0.0.1:5")]
    reader = TapReader(1, rows.append, Secrets())
    reader.received(Side.CLIENT, line(BEAT) + line({"type": "status"}) + line(tunnel("a")) + line(tunnel("b")), 1.0)
    answers = (
        {"type": "heartbeat_response"},
        {"type": "error", "code": "unknown_message_type", "message": "?"},
        {"type": "tunnel_response", "status": "ok", "tunnel_id": "b"},
        {"type": "tunnel_response", "status": "ok", "tunnel_id": "a"},
        {"type": "error", "code": "server_unavailable", "message": "later"},
    )
    reader.received(Side.RELAY, b"".join(map(line, answers)), 1.1)
    (connection,) = connections_of(rows)
    found = [(asked.type, [answer.type for answer in asked.answers]) for asked in connection.exchanges]
    assert found == [
        ("heartbeat", ["heartbeat_response"]),
        ("status", ["error"]),
        ("tunnel_info", ["tunnel_response"]),
        ("tunnel_info", ["tunnel_response"]),
        ("", ["error"]),
    ]
    assert [(asked.request and asked.request.member("tunnel_id")) for asked, _ in connection.swapped] == ["b"]
