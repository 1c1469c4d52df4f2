"""The eleven error codes, compared with a hand-written list."""

from __future__ import annotations

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec_schemas import ERROR_CODES

DELAYS = {  # seconds before the first retry, as deployed clients document it
    "invalid_token": None,
    "rate_limit_exceeded": 5.0,
    "connection_limit_reached": None,
    "server_unavailable": 10.0,
    "invalid_tunnel_info": None,
    "unknown_message_type": None,
    "tenant_limit_exceeded": None,
    "tenant_not_found": None,
    "ip_not_allowed": None,
    "buffer_pool_exhausted": None,
    "data_transfer_failed": 1.0,
}


def test_the_codes_are_those_of_the_specification_in_its_order() -> None:
    assert [str(code) for code in ErrorCode] == list(ERROR_CODES) == list(DELAYS)
    assert {str(code): facts.base_delay for code, facts in FACTS.items()} == DELAYS
    assert all(facts.retryable == (facts.base_delay is not None) and facts.meaning for facts in FACTS.values())
