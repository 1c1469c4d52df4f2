"""Tokens from a provider, and when to ask it for the next one."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable

from cbspec.tokens.jws import claims_of
from cbspec_client.errors import ClientError, TokenUnavailable

TokenProvider = Callable[[], str | Awaitable[str]]
"""Returns a token: at once, or as a coroutine. It is called before each connection, and before a token expires."""

_LEAST = 1.0  # seconds between two questions


class SessionTokens:
    """The tokens of a session.

    Arguments: `given` is a token or a provider; a new one is due `margin` seconds before the last one expires, or after
    half of its time if it is shorter. `timeout`, in seconds, is that of the provider, `clock` returns the time of day.
    """

    def __init__(
        self, given: str | TokenProvider, *, margin: float, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._given = given
        self._margin = margin
        self._timeout = timeout
        self._clock = clock

    async def fetch(self) -> str:
        """Return a token. Raises TokenUnavailable if the provider fails or takes too long."""
        if isinstance(self._given, str):
            return self._given
        try:
            async with asyncio.timeout(self._timeout):
                found = self._given()
                return await found if inspect.isawaitable(found) else found
        except ClientError:
            raise
        except TimeoutError as error:
            raise TokenUnavailable(f"the token provider returned no token within {self._timeout:g} s") from error
        except Exception as error:
            raise TokenUnavailable(f"the token provider failed: {type(error).__name__}") from error

    def due(self, token: str) -> float:
        """Return the seconds until a new token is due, or infinity."""
        expiry = _expiry(token)
        if isinstance(self._given, str) or expiry is None or (left := expiry - self._clock()) <= 0:
            return math.inf  # an expired token may be valid by the relay's clock, so no new one is better
        return max(left - self._margin, left / 2, _LEAST) if left > _LEAST else math.inf

    async def renew(self, token: str) -> str | None:
        """Return a token that expires later than this one, or None; raises as `fetch` does."""
        new = await self.fetch()
        old, later = _expiry(token), _expiry(new)
        return new if old is not None and (later is None or later > old) else None


def _expiry(token: str) -> float | None:
    value = claims_of(token).get("exp")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
