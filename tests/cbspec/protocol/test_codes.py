"""The eleven codes, written down by hand a second time."""

from __future__ import annotations

import pytest

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec_schemas import ERROR_CODES

RETRYABLE = {"rate_limit_exceeded": 5.0, "server_unavailable": 10.0, "data_transfer_failed": 1.0}
BY_HAND = [
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
]


def test_the_codes_are_the_specifications_eleven_in_its_order() -> None:
    assert [code.value for code in ErrorCode] == BY_HAND
    assert list(ERROR_CODES) == BY_HAND


def test_facts_are_known_of_every_code_and_of_no_other() -> None:
    assert list(FACTS) == list(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_worth_retrying_exactly_where_deployed_clients_do(code: ErrorCode) -> None:
    assert FACTS[code].retryable is (code.value in RETRYABLE)
    assert FACTS[code].base_delay == RETRYABLE.get(code.value)
    assert FACTS[code].meaning
    assert str(code) == code.value
