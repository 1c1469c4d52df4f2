"""JSON by the grammar alone, held against Python's reader with its leniencies taken away, and against rows by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbspec_conformance.oracles.rfc8259 import NotJson, holds_object, is_utf8, read
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from tests.conformance.properties.test_strategies import NAMES, VALUES


@given(spelling=SPELLINGS, message=st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_legal_is_read_as_it_was_meant(spelling: Spelling, message: dict[str, object]) -> None:
    text = spelling.write(message).encode()
    assert read(text) == message
    assert holds_object(b"x" + text + b"x")


LETTERS = st.lists(st.sampled_from([*'{}[]:,"\\ \t\n-+.eE0123456789abfnrtul/', "é", "\0", "\x7f", "\\u00e9"])).map(
    "".join
)


def _python(text: str) -> bool:
    def refuse(_: str) -> object:
        raise ValueError

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


@given(st.one_of(LETTERS, st.text(max_size=8), LETTERS.map(lambda text: f'{{"a":{text}}}')))
@example('{"a":01}')
@example('{"a":1.}')
@example('{"a":"\t"}')
@example('{"a":"\\x41"}')
@example("[1,]")
@example("")
def test_it_draws_the_line_where_python_does(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    try:
        read(data)
        ours = True
    except NotJson:
        ours = False
    assert ours == (_python(text) and is_utf8(data))


@pytest.mark.parametrize(
    "data",
    [b'"\x80"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"\xff", b"\xef\xbb\xbf{}", b"{}x", b'"a'],
)
def test_what_is_no_utf8_is_no_json(data: bytes) -> None:
    with pytest.raises(NotJson):
        read(data)


@given(st.binary(max_size=12))
def test_utf8_is_what_decodes(data: bytes) -> None:
    try:
        data.decode()
        decodes = True
    except UnicodeDecodeError:
        decodes = False
    assert is_utf8(data) == decodes


@pytest.mark.parametrize(
    ("data", "holds"),
    [(b"{}", True), (b"}{}", True), (b'{{"a":1}', True), (b'{"a":1', False), (b"[1]", False), (b'{"a":"{}"', True)],
)
def test_objects_are_found_anywhere(data: bytes, holds: bool) -> None:
    assert holds_object(data) == holds
