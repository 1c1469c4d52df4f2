"""The index over the files."""

from __future__ import annotations

import pytest

import cbspec_schemas
from cbspec_schemas import CLIENT_TYPES, ERROR_CODES, NAMES, RELAY_TYPES, examples, load


def test_the_nine_types() -> None:
    assert CLIENT_TYPES == ("hello", "auth", "tunnel_info", "heartbeat")
    assert RELAY_TYPES == ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")
    assert {*NAMES} == {*CLIENT_TYPES, *RELAY_TYPES, "client_message", "relay_message"}


def test_the_eleven_codes() -> None:
    assert ERROR_CODES == (
        "invalid_token",
        "rate_limit_exceeded",
        "connection_limit_reached",
        "server_unavailable",
        "invalid_tunnel_info",
        "unknown_message_type",
        "tenant_limit_exceeded",
        "tenant_not_found",
        "ip_not_allowed",
        "buffer_pool_exhausted",
        "data_transfer_failed",
    )


def test_load_reads_a_schema_once() -> None:
    assert load("hello")["title"] == "Hello (client to relay)"
    assert load("hello") is load("hello")


@pytest.mark.parametrize("name", ["", "goodbye", "hello.schema.json", "../cbspec/profile"])
def test_load_refuses_other_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no schema .* there are: hello, auth"):
        load(name)


def test_examples_keep_their_bytes() -> None:
    texts = {each.name: each.text for each in examples()}
    assert texts["heartbeat-white-space"] == ' \t\r\n{\r\n\t"type"\t:\r\n  "heartbeat"\r\n}\r\n \n'


def test_every_public_name_is_there() -> None:
    assert all(hasattr(cbspec_schemas, name) for name in cbspec_schemas.__all__)
