"""The independent JSON reader, compared with Python's reader without its extensions, and with rows by hand."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from cbspec_conformance.oracles.rfc8259 import NotJson, holds_object, is_utf8, read
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from tests.conformance.properties.test_strategies import MESSAGES

LETTERS = st.lists(st.sampled_from([*'{}[]:,"\\ \t\n-+.eE0123456789abfnrtul/', "é", "\0", "\x7f", "\\u00e9"]))
TEXTS = LETTERS.map("".join)


@given(spelling=SPELLINGS, message=MESSAGES)
def test_legal_text_is_read_as_its_value(spelling: Spelling, message: dict[str, object]) -> None:
    text = spelling.write(message).encode()
    assert read(text) == message
    assert holds_object(b"x" + text + b"x")
    assert not holds_object(text[:-1].replace(b"}", b""))


def is_json_for_python(text: str) -> bool:
    def refuse(_: str) -> object:
        raise ValueError

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def is_json(data: bytes) -> bool:
    try:
        read(data)
    except NotJson:
        return False
    return True


@given(st.one_of(TEXTS, st.text(max_size=8), TEXTS.map(lambda text: f'{{"a":{text}}}')))
@example('{"a":01}')
@example('{"a":1.}')
@example('{"a":"\t"}')
@example('{"a":"\\x41"}')
@example("[1,]")
@example("")
def test_the_reader_agrees_with_python(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert is_json(data) == (is_json_for_python(text) and is_utf8(data))


@given(st.binary(max_size=12))
def test_utf8_agrees_with_python(data: bytes) -> None:
    assert is_utf8(data) == (data.decode(errors="ignore").encode() == data)
