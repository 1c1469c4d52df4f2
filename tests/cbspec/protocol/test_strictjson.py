"""Strict JSON: every JSON text is accepted, and everything else is rejected with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.strictjson import MAX_DEPTH, NotStrictJson, depth, loads, utf8_fault
from cbspec_conformance.properties.strategies import Spelling
from tests.cbspec.spelling import json_values, spellings

NEAR_JSON = {
    b"": "expecting value",
    b'{"a":1,}': "",
    b"{'a':1}": "property name",
    b'{"a":1}\x00': "extra data",
    b"NaN": "NaN",
    b"01": "extra data",
    b'"a': "unterminated",
    b'"a\nb"': "control character",
    b'"\\u00_1"': "escape",
    b"\x0b1": "expecting value",
    "\u00a01".encode(): "expecting value",
    b'{"a":1,"a":1}': "more than once",
    b'{"a":1,"\\u0061":2}': "more than once",
    b'"\\ud800"': "surrogate",
    b'"\\ud800\\u0041"': "surrogate",
    b"[" + b"9" * 5000 + b"]": "too many digits",
}
NOT_UTF8 = [
    b"\xef\xbb\xbf{}",
    b'"\xff"',
    b'"\xc0\x80"',  # an overlong null character
    b'"\xed\xa0\x80"',  # half a surrogate pair
    "{}".encode("utf-16-be") + b"\xd8",
    b"\x1f\x8b\x08\x00",
]


@given(json_values, spellings)
def test_every_spelling_of_a_value_is_decoded(value: object, spelling: Spelling) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value
    assert loads(f" \r\n\t{spelling.write({'x': value})}\n".encode()) == {"x": value}


@given(st.text(alphabet='{}[]",:\\ud80aeE+-.01 \ntrfn', max_size=20))
def test_an_accepted_text_is_json_to_other_decoders(text: str) -> None:
    try:
        value = loads(text.encode())
    except NotStrictJson:
        return
    assert json.dumps(value) == json.dumps(json.loads(text))


@pytest.mark.parametrize(("data", "reason"), NEAR_JSON.items(), ids=lambda value: str(value)[:30])
def test_a_text_that_is_almost_json_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(NotStrictJson) as caught:
        loads(data)
    assert reason.lower() in caught.value.reason.lower()
    assert not caught.value.utf8


@pytest.mark.parametrize("data", NOT_UTF8)
def test_a_wrong_encoding_is_reported_as_such(data: bytes) -> None:
    with pytest.raises(NotStrictJson) as caught:
        loads(data)
    assert caught.value.utf8
    assert utf8_fault(data) == caught.value.reason


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_the_depth_is_limited_exactly(opening: str, closing: str) -> None:
    times = MAX_DEPTH // (opening.count("[") + opening.count("{"))
    inside = '"[[[{{{\\"[[["'
    loads((opening * times + inside + closing * times).encode())
    assert depth((opening + "1" + closing + ",") * 1000) <= 2  # in sequence
    with pytest.raises(NotStrictJson, match="nests deeper"):
        loads(b"[" * 100_000, max_depth=1_000_000)  # beyond the stack of the decoder
    with pytest.raises(NotStrictJson, match="nests deeper"):
        loads((opening * times + f"[{inside}]" + closing * times).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100 + b'"' + b'\\"' * 400_000,
        b"[" * 100 + b'\\"' * 400_000,
        b"{" + b"".join(b'"%d":1,' % number for number in range(90_000)) + b'"z":1,"z":1}',
        b"[" * 1_000_000,
    ],
    ids=["unterminated string", "quotes outside strings", "repeated last member", "brackets"],
)
def test_a_hostile_megabyte_is_rejected_in_linear_time(text: bytes) -> None:
    # Quadratic work on any of these exceeds the time limit of the test.
    with pytest.raises(NotStrictJson):
        loads(text)
