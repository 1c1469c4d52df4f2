"""Ways to say more, less, or the same in other words."""

from __future__ import annotations

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import Change, answers, both, put, turn
from cbspec_simulator.variations.variants.kind import Variant

_KINDS = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")
_WORDS = "x" * 40_000


def _extra(body: Body, exchange: AnswerContext) -> Body:
    return {"at": exchange.nth, **body, "server": {"name": "relay", "load": [0.5, None]}, "note": "ünïcode ✓"}


def _long(body: Body, _: AnswerContext) -> Body:
    return {"note": _WORDS, **body}


def _everywhere(edit: object) -> Change:
    return both(*(answers(kind, edit) for kind in _KINDS))  # type: ignore[arg-type]


def _features(*names: str) -> Change:
    return answers("hello_response", put("features", list(names)))


VARIANTS = (
    Variant("extra-members", "Every answer has members that the specification doesn't name.", _everywhere(_extra)),
    Variant("long-answers", "Every answer is longer than two TLS records hold.", _everywhere(_long)),
    Variant(
        "fewer-features",
        "The hello_response lists three features only.",
        _features("tls", "tunnel_info", "multi_tenancy"),
    ),
    Variant("only-multi-tenancy", "The hello_response lists multi_tenancy only.", _features("multi_tenancy")),
    Variant("no-features", "The hello_response lists no feature.", _features()),
    Variant(
        "more-features",
        "The hello_response lists a feature that the specification doesn't name.",
        answers("hello_response", turn("features", lambda features: [*features, "drain"])),
    ),
    Variant(
        "feature-order",
        "The hello_response lists the features in another order, one of them twice.",
        answers("hello_response", turn("features", lambda features: [*reversed(features), features[0]])),
    ),
    Variant(
        "own-client-id",
        "The client_id is a name that the relay gives, not the token's subject.",
        answers("auth_response", put("client_id", lambda exchange: f"c/{exchange.connection.number:08x}")),
    ),
    Variant("terse-errors", "Every error has the same short text.", answers("error", put("message", "refused"))),
    Variant(
        "errors-in-russian",
        "Errors speak another language, over several lines.",
        answers("error", put("message", "Запрос отклонён.\nПопробуйте позже 🙂")),
    ),
)
