"""The index of the schema and example files."""

from __future__ import annotations

import pytest

from cbspec_schemas import ERROR_CODES, NAMES, examples, load


def test_a_schema_is_loaded_once_and_other_names_are_rejected() -> None:
    assert load("hello") is load("hello")
    assert len(NAMES) == len(ERROR_CODES) == 11
    for name in ("", "goodbye", "hello.schema.json", "../cbspec/profile"):
        with pytest.raises(ValueError, match=r"there is no schema .* there are: hello, auth"):
            load(name)


def test_examples_keep_their_bytes() -> None:
    texts = {each.name: each.text for each in examples()}
    assert texts["heartbeat-white-space"] == ' \t\r\n{\r\n\t"type"\t:\r\n  "heartbeat"\r\n}\r\n \n'
