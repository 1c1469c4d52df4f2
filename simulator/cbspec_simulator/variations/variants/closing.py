"""Ways to end a connection: when, and how."""

from __future__ import annotations

from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Error
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import Change, When, answers, both, broke, part, silence, writing
from cbspec_simulator.variations.variants.kind import Variant

MALFORMED = ("CB-MSG-005", "CB-MSG-006")
"""What input breaks that is not JSON, or not UTF-8."""
BAD_HELLO = ("CB-HEL-005", "CB-HEL-006")
TOO_EARLY = ("CB-HEL-007",)

_IDLE = 3.0  # seconds


def _closing(when: When) -> Change:
    """Close behind the errors for which `when` holds."""

    def ends(body: Body, exchange: AnswerContext) -> bool:
        return body["type"] == "error" and when(exchange)

    return part(ends=ends)


def _wordless(*requirements: str) -> Change:
    """Close where an error would say that one of these requirements was broken."""
    when = broke(*requirements)
    return both(answers("error", silence, when), _closing(when))


CLOSE_AFTER_ERROR = _closing(lambda _: True)
"""Close behind every error."""


def _impatient(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, idle_timeout=_IDLE, handshake_timeout=_IDLE))


VARIANTS = (
    Variant("no-close-notify", "Connections are closed without close_notify.", writing(close_notify=False)),
    Variant("close-after-error", "The connection is closed behind every error.", CLOSE_AFTER_ERROR),
    Variant(
        "close-after-error-without-close-notify",
        "The connection is closed behind every error, without close_notify.",
        both(CLOSE_AFTER_ERROR, writing(close_notify=False)),
    ),
    Variant(
        "reset-after-error",
        "The connection is reset behind every error.",
        both(CLOSE_AFTER_ERROR, writing(reset=True)),
    ),
    Variant(
        "close-after-refused-auth",
        "The connection is closed behind an auth that was refused, and behind no other error.",
        _closing(lambda exchange: isinstance(exchange.request, Auth) or exchange.requirement.startswith("CB-AUT-")),
    ),
    Variant(
        "close-after-malformed",
        "The connection is closed behind input that is not JSON, and behind no other error.",
        _closing(broke(*MALFORMED)),
    ),
    Variant("malformed-closes", "What is not JSON is met by a close without an error.", _wordless(*MALFORMED)),
    Variant(
        "malformed-resets",
        "What is not JSON is met by a reset without an error.",
        both(_wordless(*MALFORMED), writing(reset=True)),
    ),
    Variant("bad-hello-closes", "A hello that is not right is met by a close without an error.", _wordless(*BAD_HELLO)),
    Variant(
        "early-message-closes", "A message before hello is met by a close without an error.", _wordless(*TOO_EARLY)
    ),
    Variant(
        "goodbye",
        "Whom the relay closes, idle for three seconds or at its own end, is told server_unavailable, unasked.",
        part(parting=lambda _: Error(ErrorCode.SERVER_UNAVAILABLE, "the relay closes the connection")),
        _impatient,
    ),
)
