"""Connections that are closed at another time or in another way."""

from __future__ import annotations

from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Error
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.answers import always, closes, closes_after, refused_by
from cbspec_simulator.variations.parts import Change, both, part, writing

MALFORMED = ("CB-MSG-005", "CB-MSG-006")
"""The requirements that input breaks if it isn't JSON in UTF-8."""

_IDLE = 3.0  # seconds

CLOSE_AFTER_ERROR = closes_after(always)
"""Close the connection after every error."""


def _impatient(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, idle_timeout=_IDLE, handshake_timeout=_IDLE))


CHANGES: dict[str, Change] = {
    "no-close-notify": writing(close_notify=False),
    "close-after-error": CLOSE_AFTER_ERROR,
    "close-after-error-without-close-notify": both(CLOSE_AFTER_ERROR, writing(close_notify=False)),
    "reset-after-error": both(CLOSE_AFTER_ERROR, writing(reset=True)),
    "close-after-refused-auth": closes_after(
        lambda exchange: isinstance(exchange.request, Auth) or "CB-AUT-" in exchange.requirement
    ),
    "malformed-resets": both(closes("error", refused_by(*MALFORMED)), writing(reset=True)),
    "late-return": part(notices_after=1.0),
    "late-return-behind-errors": both(CLOSE_AFTER_ERROR, part(notices_after=1.0)),
    "goodbye": part(parting=lambda _: Error(ErrorCode.SERVER_UNAVAILABLE, "the relay closes the connection")),
}

ARRANGED = {"goodbye": _impatient}
