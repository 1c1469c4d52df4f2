"""Retries: which errors are worth one, how long to wait before it, and when to give up.

Only errors that are `retryable` (`errors.py`) are: the codes that deployed clients retry, and failures of the network.
A certificate that is not trusted and a relay that breaks the protocol are never tried again.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential

from cbspec_client.errors import ClientError, GaveUp, Misuse

OnRetry = Callable[[int, float, ClientError], None]
"""Called before each pause, with the number of the retry, the pause in seconds, and the error."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to retry, and when.

    The pause before retry n is `delay * multiplier ** (n - 1)` seconds, at most `cap`; a random part of it, up to the
    fraction `jitter`, is left out, so that many clients don't return at the same moment. The default `delay` depends on
    the error, as in deployed clients. After more than `retries` failures in a row it gives up. A connection that has
    held for `settled` seconds ends a row. Raises Misuse for values that are impossible.
    """

    retries: int = 3
    delay: float | None = None
    multiplier: float = 2.0
    cap: float = 30.0
    jitter: float = 0.25
    settled: float = 60.0

    def __post_init__(self) -> None:
        if self.retries < 0 or self.multiplier < 1 or not 0 <= self.jitter < 1:
            raise Misuse("a retry policy needs 0 retries or more, a multiplier of 1 or more, and a jitter below 1")
        if min(self.delay or 0.0, self.cap, self.settled) < 0:
            raise Misuse("the times of a retry policy are 0 s or more")

    async def run(self, attempt: Callable[[int], Awaitable[None]], on_retry: OnRetry) -> None:
        """Call `attempt`, with its number, until it returns without an error.

        It raises AttemptFailed with the error. Raises the error itself if no retry is worth it, or GaveUp.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_retrying),
            stop=stop_after_attempt(self.retries + 1),
            wait=self._pause,
            before_sleep=lambda state: on_retry(state.attempt_number, state.upcoming_sleep, _error(state)),
            retry_error_callback=_give_up,
            sleep=asyncio.sleep,
        )
        async for one in retrying:
            with one:
                try:
                    await attempt(one.retry_state.attempt_number)
                except AttemptFailed as broken:
                    if broken.held >= self.settled:
                        one.retry_state.attempt_number = 1
                    raise broken.cause from broken.cause.__cause__

    def _pause(self, state: RetryCallState) -> float:
        base = self.delay if self.delay is not None else _error(state).base_delay or 0.0
        full = wait_exponential(base, max=self.cap, exp_base=self.multiplier)(state)
        last = state.upcoming_sleep if state.attempt_number > 1 else 0.0  # another error may have a shorter delay
        return max(full * random.uniform(1 - self.jitter, 1), min(last, self.cap * (1 - self.jitter)))  # noqa: S311 - no secret


class AttemptFailed(Exception):
    """An attempt failed after its connection had held for some seconds (-inf: there was none)."""

    def __init__(self, cause: ClientError, held: float = -math.inf) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.held = held


def _worth_retrying(error: BaseException) -> bool:
    return isinstance(error, ClientError) and error.retryable


def _error(state: RetryCallState) -> ClientError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, ClientError)  # noqa: S101 - no other error is retried
    return error


def _give_up(state: RetryCallState) -> NoReturn:
    error = _error(state)
    if state.attempt_number == 1:
        raise error
    raise GaveUp(error, state.attempt_number) from error
