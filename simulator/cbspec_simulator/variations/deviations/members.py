"""Every member of every answer: null, of another type, another value; and other answers in an answer's stead."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import answers, broke, drop, instead, part, put, silence, turn
from cbspec_simulator.variations.compose import both as laid_over
from cbspec_simulator.variations.deviations.kind import Deviation, in_words

_HELLO, _AUTH, _TUNNEL, _BEAT = "hello_response", "auth_response", "tunnel_response", "heartbeat_response"
_NOT_JSON = broke("CB-MSG-005", "CB-MSG-006")

VALUES: tuple[tuple[str, str, str, str, object, str], ...] = (
    ("hello-version", "array", _HELLO, "version", ["1.0"], "CB-HEL-002"),
    ("hello-version", "true", _HELLO, "version", True, "CB-HEL-002"),
    ("hello-version", "object", _HELLO, "version", {"major": 1}, "CB-HEL-002"),
    ("hello-version", "empty", _HELLO, "version", "", "CB-HEL-004"),
    ("hello-version", "prefixed", _HELLO, "version", "v1.0", "CB-HEL-004"),
    ("hello-features", "null", _HELLO, "features", None, "CB-HEL-003"),
    ("hello-features", "number", _HELLO, "features", 5, "CB-HEL-003"),
    ("hello-features", "null-inside", _HELLO, "features", ["tls", None, "multi_tenancy"], "CB-HEL-003"),
    ("hello-features", "array-inside", _HELLO, "features", [["tls", "multi_tenancy"]], "CB-HEL-003"),
    ("auth-status", "null", _AUTH, "status", None, "CB-AUT-001"),
    ("auth-status", "number", _AUTH, "status", 200, "CB-AUT-001"),
    ("auth-status", "array", _AUTH, "status", ["ok"], "CB-AUT-001"),
    ("auth-status", "capitals", _AUTH, "status", "OK", "CB-AUT-001"),
    ("auth-status", "error", _AUTH, "status", "error", "CB-AUT-001"),
    ("auth-client-id", "true", _AUTH, "client_id", True, "CB-AUT-002"),
    ("auth-client-id", "array", _AUTH, "client_id", ["user123"], "CB-AUT-002"),
    ("auth-client-id", "object", _AUTH, "client_id", {"sub": "user123"}, "CB-AUT-002"),
    ("auth-tenant", "null", _AUTH, "tenant_id", None, "CB-AUT-003"),
    ("auth-tenant", "number", _AUTH, "tenant_id", 1, "CB-AUT-003"),
    ("auth-tenant", "true", _AUTH, "tenant_id", True, "CB-AUT-003"),
    ("auth-tenant", "object", _AUTH, "tenant_id", {"id": "a"}, "CB-AUT-003"),
    ("auth-tenant", "empty", _AUTH, "tenant_id", "", "CB-AUT-003"),
    ("tunnel-status", "null", _TUNNEL, "status", None, "CB-TUN-001"),
    ("tunnel-status", "true", _TUNNEL, "status", True, "CB-TUN-001"),
    ("tunnel-status", "number", _TUNNEL, "status", 200, "CB-TUN-001"),
    ("tunnel-status", "array", _TUNNEL, "status", ["ok"], "CB-TUN-001"),
    ("tunnel-status", "capitals", _TUNNEL, "status", "OK", "CB-TUN-001"),
    ("tunnel-status", "error", _TUNNEL, "status", "error", "CB-TUN-001"),
    ("tunnel-id", "null", _TUNNEL, "tunnel_id", None, "CB-TUN-002"),
    ("tunnel-id", "number", _TUNNEL, "tunnel_id", 1, "CB-TUN-002"),
    ("tunnel-id", "true", _TUNNEL, "tunnel_id", True, "CB-TUN-002"),
    ("tunnel-id", "array", _TUNNEL, "tunnel_id", ["t"], "CB-TUN-002"),
    ("tunnel-id", "object", _TUNNEL, "tunnel_id", {"id": "t"}, "CB-TUN-002"),
    ("tunnel-id", "empty", _TUNNEL, "tunnel_id", "", "CB-TUN-002"),
    ("tunnel-type", "null", _TUNNEL, "type", None, "CB-MSG-003"),
    ("tunnel-type", "number", _TUNNEL, "type", 3, "CB-MSG-003"),
    ("tunnel-type", "capitals", _TUNNEL, "type", "TUNNEL_RESPONSE", "CB-MSG-003"),
    ("tunnel-type", "array", _TUNNEL, "type", [_TUNNEL], "CB-MSG-003"),
    ("hello-type", "camel-case", _HELLO, "type", "helloResponse", "CB-MSG-003"),
    ("auth-type", "short", _AUTH, "type", "response", "CB-MSG-003"),
    ("error-message", "true", "error", "message", True, "CB-ERR-002"),
    ("error-message", "array", "error", "message", ["refused"], "CB-ERR-002"),
    ("error-message", "blank", "error", "message", " ", "CB-ERR-003"),
)
"""Begin of the id, its end, the answer, the member, its value, and the requirement that it breaks."""

CODES: tuple[tuple[str, object], ...] = (
    ("null", None), ("true", True), ("array", ["unknown_message_type"]), ("object", {"code": 1}), ("empty", ""),
)  # fmt: skip
"""Values of the code that refuses what isn't JSON."""

_STAND_INS: tuple[tuple[str, str, str, str, dict[str, object]], ...] = (
    ("hello", _HELLO, "CB-HEL-001", _AUTH, {"status": "ok", "client_id": "x", "tenant_id": "x"}),
    ("auth", _AUTH, "CB-AUT-001", _HELLO, {"version": "1.0", "features": ["multi_tenancy"]}),
    ("tunnel", _TUNNEL, "CB-TUN-001", _BEAT, {}),
    ("heartbeat", _BEAT, "CB-HBT-001", _HELLO, {"version": "1.0", "features": ["multi_tenancy"]}),
)


def _values() -> Iterator[Deviation]:
    for begin, end, answer, member, value, requirement in VALUES:
        sentence = f"The {answer}'s {member} is {in_words(end)}."
        yield Deviation(f"{begin}-{end}", requirement, sentence, answers(answer, put(member, value)))
    for end, code in CODES:
        sentence = f"What isn't JSON is refused by an error whose code is {in_words(end)}."
        change = answers("error:unknown_message_type", put("code", code), _NOT_JSON)
        yield Deviation(f"error-code-{end}", "CB-ERR-001", sentence, change)


def _stand_ins() -> Iterator[Deviation]:
    for asked, answer, requirement, other, members in _STAND_INS:
        yield Deviation(
            f"{asked}-answered-by-{other.replace('_', '-')}",
            requirement,
            f"{asked.capitalize()} is answered by a message of type {other}.",
            answers(answer, instead(type=other, **members)),
        )
        yield Deviation(
            f"{asked}-closes",
            requirement,
            f"The connection is closed without a word when {asked} comes.",
            laid_over(part(ends=_behind(answer)), answers(answer, silence)),
        )
        if asked != "heartbeat":
            request = "tunnel_info" if asked == "tunnel" else asked
            yield Deviation(
                f"{asked}-echoed",
                "CB-MSG-003",
                f"{asked.capitalize()} is sent back.",
                answers(answer, instead(type=request)),
            )


def _behind(answer: str) -> Callable[[Body, AnswerContext], bool]:
    return lambda body, _: body.get("type") == answer


DEVIATIONS = (
    *_values(),
    *_stand_ins(),
    Deviation("tunnel-type-missing", "CB-MSG-003", "The tunnel_response has no type.", answers(_TUNNEL, drop("type"))),
    Deviation(
        "tunnel-in-an-envelope",
        "CB-MSG-003",
        "The tunnel_response is a member of another object.",
        answers(_TUNNEL, lambda body, _: {"message": body}),
    ),
    Deviation(
        "auth-tenant-with-suffix",
        "CB-AUT-003",
        "The auth_response names the tenant with something behind it.",
        answers(_AUTH, turn("tenant_id", lambda name: f"{name}@relay")),
    ),
)
