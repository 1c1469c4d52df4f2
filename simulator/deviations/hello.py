"""Ways to be wrong about hello and its answer."""

from __future__ import annotations

from simulator.compose import answers, drop, instead, put, silence, turn, twice
from simulator.deviations.kind import Deviation

DEVIATIONS = (
    Deviation("hello-unanswered", "CB-HEL-001", "A hello is never answered.", answers("hello_response", silence)),
    Deviation(
        "hello-refused",
        "CB-HEL-001",
        "Every hello is refused.",
        answers("hello_response", instead(type="error", code="server_unavailable", message="not now")),
    ),
    Deviation(
        "hello-version-missing",
        "CB-HEL-002",
        "The hello_response has no version.",
        answers("hello_response", drop("version")),
    ),
    Deviation(
        "hello-version-number",
        "CB-HEL-002",
        "The hello_response's version is the number 1.0.",
        answers("hello_response", put("version", 1.0)),
    ),
    Deviation(
        "hello-version-null",
        "CB-HEL-002",
        "The hello_response's version is null.",
        answers("hello_response", put("version", None)),
    ),
    Deviation(
        "hello-features-missing",
        "CB-HEL-003",
        "The hello_response has no features.",
        answers("hello_response", drop("features")),
    ),
    Deviation(
        "hello-features-object",
        "CB-HEL-003",
        "The hello_response's features are an object with true for each.",
        answers("hello_response", turn("features", lambda names: dict.fromkeys(names, True))),
    ),
    Deviation(
        "hello-features-text",
        "CB-HEL-003",
        "The hello_response's features are one string, separated by commas.",
        answers("hello_response", turn("features", ",".join)),
    ),
    Deviation(
        "hello-features-number-inside",
        "CB-HEL-003",
        "There is a number among the hello_response's features.",
        answers("hello_response", turn("features", lambda names: [*names, 2])),
    ),
    Deviation("hello-answered-twice", "CB-MSG-004", "A hello is answered twice.", answers("hello_response", twice)),
)
