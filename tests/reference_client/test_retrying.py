"""Retries: which errors, which pauses, and when a row of them ends."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import tenacity

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Error
from cbspec_client import RetryPolicy
from cbspec_client.errors import (
    AnswerTimeout,
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    GaveUp,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
    TokenUnavailable,
    refusal,
)
from cbspec_client.retrying import AttemptFailed

RETRIED: list[tuple[ClientError, float]] = [
    (refusal(Error("rate_limit_exceeded", "")), 5.0),
    (refusal(Error("server_unavailable", "")), 10.0),
    (refusal(Error("data_transfer_failed", "")), 1.0),
    (ConnectFailed("refused"), 3.0),
    (TlsRefused("closed during the handshake", lasting=False), 3.0),
    (ConnectionLost("reset"), 2.0),
    (AnswerTimeout("silence"), 2.0),
    (TokenUnavailable("a file is missing"), 3.0),
]
NEVER: list[ClientError] = [
    *(
        refusal(Error(code, ""))
        for code in {*ErrorCode} - {error.code for error, _ in RETRIED if hasattr(error, "code")}
    ),
    refusal(Error("teapot", "")),
    ConnectFailed("HTTP status 404", lasting=True),
    TlsRefused("an alert"),
    CertificateNotTrusted("unknown CA"),
    RelayMisbehaved("another tunnel_id", "CB-TUN-002"),
    Misuse("wrong"),
]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of the pauses, which take no time."""
    taken: list[float] = []

    async def pause(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr("cbspec_client.retrying.asyncio.sleep", pause)
    return taken


async def fail(policy: RetryPolicy, *errors: ClientError | AttemptFailed) -> Exception | None:
    """Run attempts that fail with these errors, the last one without end; return the final error."""
    left = itertools.chain(errors, itertools.repeat(errors[-1]))

    async def attempt(number: int) -> None:
        error = next(left)
        raise error if isinstance(error, AttemptFailed) else AttemptFailed(error)

    try:
        await policy.run(attempt, lambda number, delay, error: None)
    except (ClientError, tenacity.RetryError) as error:
        return error
    return None


async def test_pauses_grow_from_the_delay_of_the_cause_up_to_the_cap(pauses: list[float]) -> None:
    for error, first in RETRIED:
        pauses.clear()
        end = await fail(RetryPolicy(retries=6), error)
        assert isinstance(end, GaveUp)
        assert (end.cause, end.__cause__, end.attempts) == (error, error, 7)
        full = [min(first * 2**number, 30.0) for number in range(6)]
        assert all(0.75 * most <= pause <= most for pause, most in zip(pauses, full, strict=True)), (pauses, full)
        growing = [pause for pause, most in zip(pauses, full, strict=True) if most < 30.0]
        assert growing == sorted(growing)
    pauses.clear()
    await fail(RetryPolicy(retries=3, delay=1.0, jitter=0.0), ConnectFailed("x"), *[ConnectionLost("y")] * 9)
    assert pauses == [1.0, 2.0, 4.0]
    pauses.clear()
    await fail(RetryPolicy(retries=2, jitter=0.0), refusal(Error("server_unavailable", "")), ConnectionLost("y"))
    assert pauses == [10.0, 10.0], "a cause with a shorter delay makes no pause shorter"


async def test_other_errors_are_raised_at_once(pauses: list[float]) -> None:
    for error in NEVER:
        assert await fail(RetryPolicy(), error) is error
    assert await fail(RetryPolicy(retries=0), ConnectionLost("reset")) is not None
    assert pauses == []


async def test_a_row_ends_only_with_a_connection_that_has_held(pauses: list[float]) -> None:
    policy, lost = RetryPolicy(retries=2, delay=1.0, jitter=0.0, settled=60.0), ConnectionLost("reset")
    brief, settled = AttemptFailed(lost, held=59.0), AttemptFailed(lost, held=60.0)
    end = await fail(policy, brief, settled, settled, brief, brief)
    assert isinstance(end, GaveUp)
    assert pauses == [1.0, 1.0, 1.0, 2.0]


def test_impossible_policies_are_rejected() -> None:
    wrong: dict[str, Any]
    for wrong in ({"retries": -1}, {"multiplier": 0.5}, {"jitter": 1.0}, {"delay": -1.0}, {"cap": -1.0}):
        with pytest.raises(Misuse):
            RetryPolicy(**wrong)
