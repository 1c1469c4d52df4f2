"""Framing of a stream: every segmentation gives the same messages, and reading resumes after a broken one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.messages import Message, to_dict
from cbspec.protocol.strictjson import loads
from tests.cbspec.spelling import cut, spelled

BETWEEN = (b"", b"\n", b"\r\n", b" ", b"\t", b"\n\n", b" \r\n \n")
JSON_LIKE = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\n", b"\r", b" ", b"1", b"a", b'"a":', b"\xff"]
    ),
    max_size=25,
).map(b"".join)
TOO_LARGE = RawMessage(b"", "too large")


def frames(pieces: list[bytes], *, max_message: int = 1 << 20, max_depth: int = 64) -> list[RawMessage]:
    """Return all messages in the pieces; the last is TOO_LARGE if the stream became unreadable."""
    framer = StreamFramer(max_message=max_message, max_depth=max_depth)
    found = []
    try:
        for piece in pieces:
            framer.feed(piece)
            while (frame := framer.next_message()) is not None:
                found.append(frame)
    except MessageTooLarge:
        found.append(TOO_LARGE)
    return found


@given(st.lists(st.tuples(spelled(), st.sampled_from(BETWEEN)), max_size=4), st.data())
def test_messages_are_found_in_every_spelling_separation_and_segmentation(
    parts: list[tuple[tuple[Message, bytes], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(text + between for (_, text), between in parts)
    found = frames(data.draw(cut(stream)))
    assert [frame.text for frame in found] == [text for (_, text), _ in parts]
    assert not any(frame.broken for frame in found)
    for frame, ((message, _), _) in zip(found, parts, strict=True):
        assert loads(frame.text).items() >= to_dict(message).items()


@given(
    st.one_of(st.binary(max_size=40), JSON_LIKE), st.sampled_from([3, 10, 1000]), st.sampled_from([1, 3, 64]), st.data()
)
def test_every_segmentation_gives_the_same_messages(
    stream: bytes, max_message: int, max_depth: int, data: st.DataObject
) -> None:
    whole = frames([stream], max_message=max_message, max_depth=max_depth)
    assert frames(data.draw(cut(stream)), max_message=max_message, max_depth=max_depth) == whole


@given(JSON_LIKE.filter(lambda line: b"\n" not in line), spelled())
def test_reading_resumes_at_the_line_after_a_broken_one(line: bytes, message: tuple[Message, bytes]) -> None:
    # An unterminated object may continue in the next line.
    assume(any(frame.broken for frame in frames([line + b"\n"])))
    assert frames([line + b"\n" + message[1] + b"\n"])[-1] == RawMessage(message[1])


BY_HAND: dict[bytes, list[tuple[bytes, bool]]] = {
    b'{"a":1} {"b":2}\n{}': [(b'{"a":1}', False), (b'{"b":2}', False), (b"{}", False)],
    b'{\n"a"\n:\r\n1\n}\n': [(b'{\n"a"\n:\r\n1\n}', False)],
    b'{"}":"{","\\"":[{}]}\n': [(b'{"}":"{","\\"":[{}]}', False)],
    b'{"a":"\\\\"}{}': [(b'{"a":"\\\\"}', False), (b"{}", False)],
    b'{"a":"\xff"}\n': [(b'{"a":"\xff"}', False)],
    b'{"a":tru}\n': [(b'{"a":tru}', False)],  # the braces match, and the decoder rejects the rest
    b"hello\n{}": [(b"hello", True), (b"{}", False)],
    b'"{}"\n{}': [(b'"{}"', True), (b"{}", False)],
    b"\xef\xbb\xbf{}\n{}": [(b"\xef\xbb\xbf{}", True), (b"{}", False)],
    b"{]}\n{}": [(b"{]}", True), (b"{}", False)],
    b"{a:1}\n{}": [(b"{a:1}", True), (b"{}", False)],
    b"{{\n{}": [(b"{{", True), (b"{}", False)],
    b'{"a":1 "b":2}\n{}': [(b'{"a":1 "b":2}', True), (b"{}", False)],
    b'{"a\nb":1}\n{}': [(b'{"a', True), (b'b":1}', True), (b"{}", False)],
    b'{"a":"b\n{}\n': [(b'{"a":"b', True), (b"{}", False)],
    b'{"a":"\\\n{}': [(b'{"a":"\\', True), (b"{}", False)],
    b'{"a":1\n\n  {"b":2}\n': [(b'{"a":1', True), (b'{"b":2}', False)],
    b'{"a":\n{"b":2}}\n': [(b'{"a":\n{"b":2}}', False)],
    b'{"a":\n1 {"b":2}\n{}': [(b'{"a":\n1 {"b":2}', True), (b"{}", False)],
    b"{\x00}\n{}": [(b"{\x00}", True), (b"{}", False)],
    b"   \n\t\r\n": [],
    b'{"a":1': [],
    b"hello": [],
}


@pytest.mark.parametrize("stream", BY_HAND)
def test_hand_written_streams(stream: bytes) -> None:
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        assert [(frame.text, bool(frame.broken)) for frame in frames(pieces)] == BY_HAND[stream]


@pytest.mark.parametrize("levels", [64, 65])
def test_the_depth_is_limited(levels: int) -> None:
    text = b'{"a":' * levels + b"1" + b"}" * levels
    found = frames([text + b"\n{}"])
    assert [bool(frame.broken) for frame in found] == [levels > 64, False]
    assert found[0].text == text


@pytest.mark.parametrize("template", [b'{"a":"%s"}', b'{"a":[%s', b"%s", b'{"a":"%s', b"{]%s\n"])
def test_the_longest_message_is_read_and_a_longer_one_is_not(template: bytes) -> None:
    longest = template % (b"1" * (100 - len(template % b"") + template.count(b"\n")))
    for pieces in ([longest], [bytes([byte]) for byte in longest]):
        assert TOO_LARGE not in frames(pieces, max_message=100)
        assert frames(pieces, max_message=99)[-1] is TOO_LARGE
    framer = StreamFramer(max_message=99)
    framer.feed(longest)
    with pytest.raises(MessageTooLarge, match="longer than 99 bytes") as caught:
        framer.next_message()
    assert caught.value.begun == longest


@pytest.mark.parametrize(
    "unit", [b"x", b'"', b"[", b"{\n", b"\\", b'{"', b"{]\n", b"1 ", b'{"a":1\n', b'{"a":[1', b'{"a":"{\n']
)
def test_framing_takes_linear_time(unit: bytes) -> None:
    # Quadratic work on so many bytes exceeds the time limit of the test.
    stream = (unit * (1 << 17))[: 1 << 17]
    assert frames([stream]) == frames([stream[at : at + 3] for at in range(0, len(stream), 3)])


@pytest.mark.parametrize("begun", [b"half a line", b'{"half":"an', b'{"half":[1,2', b'{"half"]'])
def test_a_discarded_message_does_not_change_the_next_one(begun: bytes) -> None:
    framer = StreamFramer()
    framer.feed(begun)
    assert framer.next_message() is None
    framer.discard()
    assert framer.pending == b""
    framer.feed(framer.encode(b'{"type":"hello"}'))
    assert framer.data_to_send() == b""
    assert framer.next_message() == RawMessage(b'{"type":"hello"}')
