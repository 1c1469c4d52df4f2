"""The messages in a client's bytes, however they are spelled, separated, split or framed."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from cbspec_conformance.client.incoming import Incoming, duplicates

OBJECTS = st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers() | st.lists(st.text(max_size=3)))
SEPARATORS = st.sampled_from(["", "\n", "\r\n", "\n\n", " \t"])
HEAD = b"GET / HTTP/1.1\r\nHost: relay\r\nSec-WebSocket-Version: 13\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return data in pieces that end at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(st.tuples(OBJECTS, SEPARATORS, st.sampled_from([None, 2])), min_size=1), st.lists(st.integers(0)))
def test_a_stream_is_split_into_its_objects(
    written: list[tuple[dict[str, object], str, int | None]], cuts: list[int]
) -> None:
    data = "".join(json.dumps(value, indent=indent) + space for value, space, indent in written).encode()
    incoming = Incoming()
    for number, piece in enumerate(pieces(data, cuts)):
        incoming.receive(piece, float(number))
    assert [message.body for message in incoming.messages] == [value for value, _, _ in written]
    assert [message.fault for message in incoming.messages] == [""] * len(written)
    assert incoming.rest.strip() == b""


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1), st.lists(st.integers(0)), st.booleans())
def test_frames_are_read_as_the_library_writes_them(texts: list[bytes], cuts: list[int], split: bool) -> None:
    frames = b""
    for text in texts:
        if split:
            frames += Frame(Opcode.TEXT, text[:1], fin=False).serialize(mask=True)
            frames += Frame(Opcode.PING, b"between").serialize(mask=True)
            frames += Frame(Opcode.CONT, text[1:]).serialize(mask=True)
        else:
            frames += Frame(Opcode.TEXT, text).serialize(mask=True)
    incoming = Incoming()
    for piece in pieces(HEAD + frames, cuts):
        incoming.receive(piece, 0.0)
    assert [message.text for message in incoming.messages] == texts
    assert incoming.frames is not None
    assert (incoming.frames.unmasked, incoming.frames.forbidden) == (False, "")
    assert len(incoming.frames.masks) == len(incoming.frames.frames) == len(texts) * (3 if split else 1)


def test_defects_are_named_by_their_requirement() -> None:
    incoming = Incoming()
    incoming.receive(b"{'type': 'hello'}\n[1]\nnot JSON\n{\"a\": \"\xff\"}\n", 1.0)
    assert [message.requirement for message in incoming.messages] == [
        "CC-MSG-001",
        "CC-MSG-002",
        "CC-MSG-001",
        "CC-MSG-001",
    ]


def test_half_a_message_is_kept() -> None:
    incoming = Incoming()
    incoming.receive(b'{"type": "hel', 1.0)
    assert (incoming.messages, incoming.rest) == ([], b'{"type": "hel')


def test_only_different_values_of_a_member_are_duplicates() -> None:
    assert duplicates(b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 1}') == ["c"]
    assert duplicates(b"not JSON") == []


def test_the_upgrade_request_is_judged_by_rfc_6455() -> None:
    lines = {
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    def fault(**changed: str) -> str:
        incoming = Incoming()
        fields = {**lines, **{name.replace("_", "-"): value for name, value in changed.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        incoming.receive(f"GET / HTTP/1.1\r\n{head}\r\n".encode(), 0.0)
        assert incoming.frames is not None
        return incoming.frames.request_fault

    assert fault() == ""
    assert "'8'" in fault(Sec_WebSocket_Version="8")
    assert "missing" in fault(Sec_WebSocket_Version="")
    assert "8 bytes" in fault(Sec_WebSocket_Key="AAAAAAAAAAA=")
    assert "Base64" in fault(Sec_WebSocket_Key="?")
    assert "Upgrade" in fault(Upgrade="h2c")
    assert "Connection" in fault(Connection="close")
