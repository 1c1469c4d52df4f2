"""Ways to be wrong about heartbeats, errors and unknown types."""

from __future__ import annotations

from dataclasses import replace

from cbspec.protocol.framing import Frame
from cbspec.protocol.messages import Auth
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.compose import (
    answers,
    both,
    broke,
    drop,
    instead,
    part,
    put,
    silence,
    twice,
    wrong_code,
)
from cbspec_simulator.variations.deviations.kind import Deviation

_BEAT = "heartbeat_response"
_UNKNOWN = "error:unknown_message_type"
_NOT_JSON = broke("CB-MSG-005", "CB-MSG-006")
_OF_UNKNOWN_TYPE = broke("CB-UNK-001")


def _with_token(exchange: AnswerContext) -> str:
    token = exchange.request.token if isinstance(exchange.request, Auth) else ""
    return f"the token {token} is not accepted"


def _quoting(behaviour: Behaviour) -> Behaviour:
    """Say of what isn't JSON what it was, whatever that is."""

    def decode(frame: Frame, max_depth: int) -> object:
        try:
            return behaviour.decode(frame, max_depth)
        except NotStrictJson as error:
            raise NotStrictJson(frame.text.decode(errors="replace"), utf8=error.utf8) from None

    return replace(behaviour, decode=decode)


def _held_back(behaviour: Behaviour) -> Behaviour:
    """Keep every seventh heartbeat_response until there is another answer to send with it."""
    held: dict[tuple[int, int], Body] = {}

    def answers(body: Body, exchange: AnswerContext) -> list[Body]:
        key = id(exchange.connection.relay), exchange.connection.number
        found = [*filter(None, [held.pop(key, None)]), *behaviour.answers(body, exchange)]
        if body["type"] == _BEAT and exchange.nth % 7 == 0:
            held[key] = found.pop()
        return found

    return replace(behaviour, answers=answers)


HEARTBEAT = (
    Deviation("heartbeat-unanswered", "CB-HBT-001", "A heartbeat is never answered.", answers(_BEAT, silence)),
    Deviation(
        "heartbeat-first-only",
        "CB-HBT-001",
        "Only a connection's first heartbeat is answered.",
        answers(_BEAT, silence, lambda exchange: exchange.nth > 1),
    ),
    Deviation(
        "heartbeat-every-seventh-lost",
        "CB-HBT-001",
        "Every seventh heartbeat of a connection stays unanswered.",
        answers(_BEAT, silence, lambda exchange: exchange.nth % 7 == 0),
    ),
    Deviation(
        "heartbeat-every-seventh-held-back",
        "CB-HBT-001",
        "Every seventh heartbeat_response of a connection goes out only with the answer behind it.",
        _held_back,
    ),
    Deviation(
        "heartbeat-refused",
        "CB-HBT-001",
        "Every heartbeat is refused.",
        answers(_BEAT, instead(type="error", code="invalid_token", message="who is there?")),
    ),
    Deviation(
        "heartbeat-answered-by-tunnel-response",
        "CB-HBT-001",
        "A heartbeat is answered by a tunnel_response.",
        answers(_BEAT, instead(type="tunnel_response", status="ok", tunnel_id="heartbeat")),
    ),
    Deviation("heartbeat-echoed", "CB-MSG-003", "A heartbeat is sent back.", answers(_BEAT, instead(type="heartbeat"))),
    Deviation(
        "heartbeat-answered-by-pong",
        "CB-MSG-003",
        "A heartbeat is answered by a pong.",
        answers(_BEAT, instead(type="pong")),
    ),
    Deviation("heartbeat-answered-twice", "CB-MSG-004", "A heartbeat is answered twice.", answers(_BEAT, twice)),
)

ERRORS = (
    Deviation(
        "error-code-unlisted",
        "CB-ERR-001",
        "What isn't JSON is refused with a code that isn't on the list.",
        answers(_UNKNOWN, put("code", "malformed_json"), _NOT_JSON),
    ),
    Deviation(
        "error-code-capitals",
        "CB-ERR-001",
        "What isn't JSON is refused with a code in capitals.",
        answers(_UNKNOWN, put("code", "UNKNOWN_MESSAGE_TYPE"), _NOT_JSON),
    ),
    Deviation(
        "error-code-missing",
        "CB-ERR-001",
        "What isn't JSON is refused by an error without a code.",
        answers(_UNKNOWN, drop("code"), _NOT_JSON),
    ),
    Deviation(
        "error-code-number",
        "CB-ERR-001",
        "What isn't JSON is refused by an error whose code is a number.",
        answers(_UNKNOWN, put("code", 400), _NOT_JSON),
    ),
    Deviation("error-message-missing", "CB-ERR-002", "Errors have no message.", answers("error", drop("message"))),
    Deviation(
        "error-message-number", "CB-ERR-002", "An error's message is a number.", answers("error", put("message", 1))
    ),
    Deviation(
        "error-message-null", "CB-ERR-002", "An error's message is null.", answers("error", put("message", None))
    ),
    Deviation(
        "error-message-object",
        "CB-ERR-002",
        "An error's message is an object with a text in it.",
        answers("error", put("message", {"text": "refused"})),
    ),
    Deviation(
        "error-message-empty", "CB-ERR-003", "Errors have an empty message.", answers("error", put("message", ""))
    ),
    Deviation(
        "error-quotes-token",
        "CB-ERR-004",
        "The error for a token quotes it.",
        answers("error:invalid_token", put("message", _with_token)),
    ),
    Deviation(
        "error-quotes-what-is-no-json",
        "CB-ERR-004",
        "The error for what isn't JSON quotes it, a token in it too.",
        _quoting,
    ),
    Deviation(
        "error-lists-tenants",
        "CB-ERR-004",
        "The error for a tenant lists those that there are.",
        answers(
            "error:tenant_not_found",
            put("message", lambda exchange: f"not one of {', '.join(exchange.connection.relay.tenants)}"),
        ),
    ),
    Deviation(
        "error-of-another-type",
        "CB-MSG-003",
        'An error\'s type is "failure".',
        answers("error", put("type", "failure")),
    ),
    Deviation("error-sent-twice", "CB-MSG-004", "Every error is sent twice.", answers("error", twice)),
)

UNKNOWN = (
    Deviation(
        "unknown-type-unanswered",
        "CB-UNK-001",
        "A message of unknown type stays unanswered.",
        answers(_UNKNOWN, silence, _OF_UNKNOWN_TYPE),
    ),
    Deviation(
        "unknown-type-wrong-code",
        "CB-UNK-001",
        "A message of unknown type is refused with invalid_tunnel_info.",
        wrong_code("unknown_message_type", "invalid_tunnel_info", _OF_UNKNOWN_TYPE),
    ),
    Deviation(
        "unknown-type-answered-ok",
        "CB-UNK-001",
        "A message of unknown type is answered by a heartbeat_response.",
        answers(_UNKNOWN, instead(type=_BEAT), _OF_UNKNOWN_TYPE),
    ),
    Deviation(
        "unknown-type-closes",
        "CB-UNK-001",
        "The connection is closed without a word when a message of unknown type comes.",
        both(
            part(ends=lambda body, _: body.get("code") == "unknown_message_type"),
            answers(_UNKNOWN, silence, _OF_UNKNOWN_TYPE),
        ),
    ),
    Deviation(
        "type-missing-wrong-code",
        "CB-UNK-002",
        "A message without a type is refused with invalid_tunnel_info.",
        wrong_code("unknown_message_type", "invalid_tunnel_info", broke("CB-UNK-002")),
    ),
    Deviation(
        "relay-type-wrong-code",
        "CB-UNK-003",
        "A message that only relays send is refused with invalid_token.",
        wrong_code("unknown_message_type", "invalid_token", broke("CB-UNK-003")),
    ),
)

DEVIATIONS = (*HEARTBEAT, *ERRORS, *UNKNOWN)
