"""Received bytes: the fault in them, and the requirement that it breaks."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.record.decoding import Decoded, decode
from tests.conformance.build import JSON

OBJECT: Final = b'{"type":"heartbeat_response"}'


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


FAULTS: Final[dict[str, tuple[bytes, str, str]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + OBJECT, "CB-MSG-001", "byte order mark"),
    "a byte 0xff": (b'{"a":"\xff"}', "CB-MSG-001", "byte 6 (0xff)"),
    "gzip": (gzip.compress(OBJECT), "CB-CMP-001", "gzip"),
    "zlib": (zlib.compress(OBJECT), "CB-CMP-001", "zlib"),
    "raw deflate": (_raw_deflate(OBJECT), "CB-CMP-001", "deflate"),
    "zstd": (b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}", "CB-CMP-001", "zstd"),
    "UTF-16 without byte order mark": (OBJECT.decode().encode("utf-16-le"), "CB-MSG-002", "not JSON"),
    "NaN": (b'{"a":NaN}', "CB-MSG-002", "NaN is no JSON value"),
    "two objects": (OBJECT + OBJECT, "CB-MSG-002", "not JSON"),
    "a raw line feed in a string": (b'{"a":"\n"}', "CB-MSG-002", "not JSON"),
    "very deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "CB-MSG-002", "not JSON"),
    "an array": (b"[]", "CB-MSG-002", "an array"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_name_their_requirement(kind: str) -> None:
    text, requirement, words = FAULTS[kind]
    decoded = decode(text)
    assert decoded.requirement == requirement
    assert words in decoded.fault


WHITE_SPACE = st.text(" \t\r\n", max_size=3)


@given(
    value=st.dictionaries(st.text(max_size=8), JSON, max_size=5),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
    around=WHITE_SPACE,
)
def test_valid_objects_have_no_fault(value: dict[str, Any], ascii_only: bool, indent: int | None, around: str) -> None:
    text = (around + json.dumps(value, ensure_ascii=ascii_only, indent=indent) + around).encode()
    assert decode(text) == Decoded(value)


@given(st.binary(max_size=30).map(lambda tail: OBJECT[:-1] + b',"x":"' + tail + b'"}'))
def test_input_valid_for_the_protocol_is_valid_here(text: bytes) -> None:
    try:
        value = loads(text)
    except NotStrictJson:
        return
    assert decode(text) == Decoded(value)
