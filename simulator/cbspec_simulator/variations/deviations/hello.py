"""Ways to be wrong about hello and its answer."""

from __future__ import annotations

from cbspec.protocol.messages import Auth, AuthResponse, Hello
from cbspec.protocol.state import Serve, State
from cbspec_simulator.relay.behaviour import AnswerContext
from cbspec_simulator.variations.compose import (
    accepts,
    answers,
    drop,
    instead,
    missing,
    put,
    rule,
    silence,
    turn,
    twice,
)
from cbspec_simulator.variations.deviations.kind import Deviation

_ANSWER = "hello_response"


def _lists_few(exchange: AnswerContext) -> bool:
    return isinstance(exchange.request, Hello) and not set(Hello().features) <= set(exchange.request.features)


DEVIATIONS = (
    Deviation("hello-unanswered", "CB-HEL-001", "A hello is never answered.", answers(_ANSWER, silence)),
    Deviation(
        "hello-refused",
        "CB-HEL-001",
        "Every hello is refused.",
        answers(_ANSWER, instead(type="error", code="unknown_message_type", message="not now")),
    ),
    Deviation(
        "hello-version-missing", "CB-HEL-002", "The hello_response has no version.", answers(_ANSWER, drop("version"))
    ),
    Deviation(
        "hello-version-number",
        "CB-HEL-002",
        "The hello_response's version is the number 1.0.",
        answers(_ANSWER, put("version", 1.0)),
    ),
    Deviation(
        "hello-version-null",
        "CB-HEL-002",
        "The hello_response's version is null.",
        answers(_ANSWER, put("version", None)),
    ),
    Deviation(
        "hello-features-missing",
        "CB-HEL-003",
        "The hello_response has no features.",
        answers(_ANSWER, drop("features")),
    ),
    Deviation(
        "hello-features-object",
        "CB-HEL-003",
        "The hello_response's features are an object with true for each.",
        answers(_ANSWER, turn("features", lambda names: dict.fromkeys(names, True))),
    ),
    Deviation(
        "hello-features-text",
        "CB-HEL-003",
        "The hello_response's features are one string, separated by commas.",
        answers(_ANSWER, turn("features", ",".join)),
    ),
    Deviation(
        "hello-features-number-inside",
        "CB-HEL-003",
        "There is a number among the hello_response's features.",
        answers(_ANSWER, turn("features", lambda names: [*names, 2])),
    ),
    Deviation(
        "hello-version-2.0",
        "CB-HEL-004",
        'The hello_response\'s version is "2.0".',
        answers(_ANSWER, put("version", "2.0")),
    ),
    Deviation(
        "hello-without-version-accepted",
        "CB-HEL-005",
        "A hello needs no version.",
        accepts("hello", "version", missing, "1.0"),
    ),
    Deviation(
        "hello-with-number-version-accepted",
        "CB-HEL-005",
        "A hello's version may be a number.",
        accepts("hello", "version", lambda value: isinstance(value, int | float), "1.0"),
    ),
    Deviation(
        "hello-without-features-accepted",
        "CB-HEL-006",
        "A hello needs no features.",
        accepts("hello", "features", missing, []),
    ),
    Deviation(
        "hello-with-text-features-accepted",
        "CB-HEL-006",
        "A hello's features may be one string.",
        accepts("hello", "features", lambda value: isinstance(value, str), lambda text: text.split(",")),
    ),
    Deviation(
        "auth-before-hello-accepted",
        "CB-HEL-007",
        "An auth needs no hello before it.",
        rule(State.CONNECTED, Auth, Serve(AuthResponse, State.AUTHENTICATED, "CB-AUT-001")),
    ),
    Deviation(
        "hello-with-three-features-refused",
        "CB-HEL-008",
        "A hello must list all five features.",
        answers(_ANSWER, instead(type="error", code="unknown_message_type", message="not enough"), _lists_few),
    ),
    Deviation("hello-answered-twice", "CB-MSG-004", "A hello is answered twice.", answers(_ANSWER, twice)),
)
