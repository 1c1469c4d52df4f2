"""Strict JSON takes every JSON text and nothing that only looks like one."""

from __future__ import annotations

import contextlib
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.strictjson import MAX_DEPTH, NotStrictJson, depth, loads, utf8_fault
from tests.cbspec.spelling import json_values, spell, texts

NEAR_JSON = {
    b"": "expecting value",
    b" ": "expecting value",
    b"{": "property name",
    b'{"a":1': "delimiter",
    b'{"a":1,}': "",
    b"[1,]": "",
    b"[1 2]": "delimiter",
    b"{'a':1}": "property name",
    b"{a:1}": "property name",
    b'{"a" 1}': "delimiter",
    b'{"a":}': "expecting value",
    b"[,1]": "expecting value",
    b"[1]]": "extra data",
    b'{"a":1}{"b":2}': "extra data",
    b'{"a":1}\x00': "extra data",
    b"// hi\n{}": "expecting value",
    b"{} # hi": "extra data",
    b"{/**/}": "property name",
    b"NaN": "NaN",
    b"[Infinity]": "Infinity",
    b"[-Infinity]": "-Infinity",
    b"nan": "expecting value",
    b"True": "expecting value",
    b"None": "expecting value",
    b"01": "extra data",
    b"-01": "extra data",
    b"+1": "expecting value",
    b".5": "expecting value",
    b"1.": "extra data",
    b"1e": "extra data",
    b"0x10": "extra data",
    b"1_000": "extra data",
    b"- 1": "expecting value",
    b'"a': "unterminated",
    b'"a\nb"': "control character",
    b'"a\tb"': "control character",
    b'"\x00"': "control character",
    b'"\\x41"': "escape",
    b'"\\u12"': "escape",
    b'"\\u 123"': "escape",
    b'"\\u+123"': "escape",
    b'"\\u00_1"': "escape",
    b"'a'": "expecting value",
    b"\x0b1": "expecting value",
    b"\x0c1": "expecting value",
    "\u00a01".encode(): "expecting value",
    "[\u0661]".encode(): "expecting value",
    "\u2028{}".encode(): "expecting value",
    b'{"a":1,"a":1}': "more than once",
    b'{"a":1,"\\u0061":2}': "more than once",
    b'[{"a":{"b":1,"b":2}}]': "more than once",
    b'"\\ud800"': "surrogate",
    b'"\\udc00\\ud800"': "surrogate",
    b'{"\\ud83d":1}': "surrogate",
    b'[["x\\udfffy"]]': "surrogate",
    b'"\\ud800\\u0041"': "surrogate",
    b"[" + b"9" * 5000 + b"]": "too many digits",
    b"-" + b"9" * 5000: "too many digits",
}
NOT_UTF8 = [
    b"\xef\xbb\xbf{}",
    b'"\xff"',
    b'"\xc0\x80"',  # an overlong null character
    b'"\xed\xa0\x80"',  # half a surrogate pair
    b'"\xf4\x90\x80\x80"',  # beyond the last code point
    b'"\xe2\x82"',
    "{}".encode("utf-16"),
    "{}".encode("utf-16-be") + b"\xd8",
    b"\x1f\x8b\x08\x00",
]


@given(json_values, st.randoms(use_true_random=True))
def test_every_spelling_of_a_value_is_read_as_that_value(value: object, random: Random) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value
    assert loads(f" \r\n\t{spell(value, random)}\n".encode()) == value


@given(st.text(alphabet='{}[]",:\\ud80aeE+-.01 \ntrfn', max_size=20))
def test_what_is_accepted_is_json_to_others_too(text: str) -> None:
    try:
        value = loads(text.encode())
    except NotStrictJson:
        return
    assert json.dumps(value) == json.dumps(json.loads(text))


@pytest.mark.parametrize(("data", "reason"), NEAR_JSON.items(), ids=lambda value: str(value)[:30])
def test_what_is_only_near_json_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(NotStrictJson) as caught:
        loads(data)
    assert reason.lower() in caught.value.reason.lower()
    assert not caught.value.utf8


@pytest.mark.parametrize("data", NOT_UTF8)
def test_a_wrong_encoding_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotStrictJson) as caught:
        loads(data)
    assert caught.value.utf8
    assert utf8_fault(data) == caught.value.reason


@given(st.binary(max_size=30))
def test_any_bytes_give_a_value_or_a_reason(data: bytes) -> None:
    fault = utf8_fault(data)
    with contextlib.suppress(NotStrictJson):
        loads(data)
        assert not fault
    if fault:
        with pytest.raises(NotStrictJson, match=fault):
            loads(data)


@given(texts)
def test_a_reason_never_repeats_what_it_read(secret: str) -> None:
    name = json.dumps(f"secret-{secret}")
    with pytest.raises(NotStrictJson) as caught:
        loads(f"{{{name}:1,{name}:1}}".encode())
    assert "secret-" not in str(caught.value)


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert loads(b'"\\\\ud800"') == "\\ud800"


def test_big_numbers_keep_every_digit() -> None:
    assert loads(b"123456789012345678901234567890") == 123456789012345678901234567890
    assert loads(b"1e400") == float("inf")  # a JSON text; whether a member may be that big is the message's affair


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_is_bounded_exactly(opening: str, closing: str) -> None:
    times = MAX_DEPTH // (opening.count("[") + opening.count("{"))
    inside = '"[[[{{{\\"[[["'
    loads((opening * times + inside + closing * times).encode())
    with pytest.raises(NotStrictJson, match="nests deeper"):
        loads((opening * times + f"[{inside}]" + closing * times).encode())


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(loads(b"[" + b",".join([b"[]"] * 1000) + b"]")) == 1000
    assert depth("[]" * 1000) == 1


def test_a_depth_beyond_the_parsers_own_stack_is_a_reason_like_others() -> None:
    with pytest.raises(NotStrictJson, match="nests deeper"):
        loads(b"[" * 100_000, max_depth=1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100 + b'"' + b'\\"' * 400_000,
        b"[" * 100 + b'\\"' * 400_000,
        b"{" + b"".join(b'"%d":1,' % number for number in range(90_000)) + b'"z":1,"z":1}',
        b"[" * 1_000_000,
    ],
    ids=["string without end", "quotes outside strings", "repeated last member", "brackets"],
)
def test_a_megabyte_of_malice_is_refused_in_linear_time(text: bytes) -> None:
    # Quadratic work on any of these takes minutes, and the time limit of the test is two.
    with pytest.raises(NotStrictJson):
        loads(text)
