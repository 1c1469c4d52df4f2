"""Ways to be wrong about requests: bad ones accepted, good ones refused, refusals withheld, answers unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Heartbeat, HeartbeatResponse, Hello, Message, TunnelInfo, Violation
from cbspec.protocol.state import Refuse, Serve, State
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.compose import (
    Change,
    Test,
    accepts,
    answers,
    asked,
    broke,
    each_step,
    instead,
    part,
    put,
    rule,
    silence,
    twice,
)
from cbspec_simulator.variations.deviations.auth import named_tenant
from cbspec_simulator.variations.deviations.kind import Deviation, in_words

_OPENED = "tunnel_response"


def _is_true(value: object) -> bool:
    return value is True


def _is_null(value: object) -> bool:
    return value is None


def _is_array(value: object) -> bool:
    return isinstance(value, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _whole(test: Callable[[int], bool]) -> Test:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and test(value)


ACCEPTED: tuple[tuple[str, str, str, str, Test, object], ...] = (
    ("hello", "version", "null", "CB-HEL-005", _is_null, "1.0"),
    ("hello", "version", "array", "CB-HEL-005", _is_array, "1.0"),
    ("hello", "features", "null", "CB-HEL-006", _is_null, []),
    ("hello", "features", "object", "CB-HEL-006", _is_object, []),
    ("hello", "features", "mixed", "CB-HEL-006", lambda value: isinstance(value, list) and 1 in value, []),
    *(
        ("tunnel_info", f"{end}_port", kind, requirement, test, 3389)
        for end, requirement in (("local", "CB-TUN-006"), ("remote", "CB-TUN-009"))
        for kind, test in (("array", _is_array), ("object", _is_object))
    ),
    *(
        ("tunnel_info", f"{end}_port", kind, requirement, _whole(test), 3389)
        for end, requirement in (("local", "CB-TUN-007"), ("remote", "CB-TUN-010"))
        for kind, test in (
            ("65536", lambda value: value == 65536),
            ("modulo-16-bits", lambda value: 65536 < value < 131072),
            ("modulo-32-bits", lambda value: value > 2**32 and value < 2**33),
            ("below-zero-in-16-bits", lambda value: -65536 < value < -1),
            ("minus-one", lambda value: value == -1),
        )
    ),
    *(
        ("tunnel_info", member, kind, requirement, test, kind)
        for member, requirement in (("tunnel_id", "CB-TUN-005"), ("remote_host", "CB-TUN-008"))
        for kind, test in (("true", _is_true), ("object", _is_object))
    ),
)
"""Request, member, kind of value, the requirement that asks for its refusal, its test, and what is read instead."""

WITHHELD: tuple[tuple[str, str, str], ...] = (
    ("hello-without-version", "CB-HEL-005", "A hello without a proper version"),
    ("hello-without-features", "CB-HEL-006", "A hello without proper features"),
    ("tunnel-before-auth", "CB-TUN-004", "A tunnel_info before auth"),
    ("bad-tunnel-id", "CB-TUN-005", "A tunnel_info without a proper tunnel_id"),
    ("bad-local-port", "CB-TUN-006", "A tunnel_info without a local_port that is a whole number"),
    ("local-port-out-of-range", "CB-TUN-007", "A tunnel_info whose local_port is out of range"),
    ("bad-remote-host", "CB-TUN-008", "A tunnel_info without a proper remote_host"),
    ("bad-remote-port", "CB-TUN-009", "A tunnel_info without a remote_port that is a whole number"),
    ("local-port-zero", "CB-TUN-011", "A tunnel_info whose local_port is 0"),
    ("tunnel-id-empty", "CB-TUN-012", "A tunnel_info whose tunnel_id is empty"),
    ("remote-host-blank", "CB-TUN-013", "A tunnel_info whose remote_host is blank"),
    ("bad-tunnel-tenant", "CB-TEN-005", "A tunnel_info without a proper tenant_id"),
    ("empty-token", "CB-AUT-013", "An auth with an empty token"),
    ("missing-token", "CB-AUT-014", "An auth without a token"),
    ("token-of-wrong-type", "CB-AUT-015", "An auth whose token is no string"),
    ("type-missing", "CB-UNK-002", "A message without a proper type"),
    ("relay-type", "CB-UNK-003", "A message that only relays send"),
)
"""Begin of the id, the requirement, and what stays unanswered or is refused with another code."""

_SWAPPED = {
    "CB-TUN-006": "unknown_message_type",
    "CB-TUN-009": "invalid_token",
    "CB-TUN-011": "tenant_not_found",
    "CB-TUN-012": "unknown_message_type",
    "CB-TUN-013": "data_transfer_failed",
    "CB-AUT-013": "unknown_message_type",
    "CB-AUT-014": "invalid_tunnel_info",
    "CB-AUT-015": "unknown_message_type",
}


def _accepted() -> Iterator[Deviation]:
    for request, member, kind, requirement, test, by in ACCEPTED:
        begin = f"{request}-{member}" if request == "hello" else member
        yield Deviation(
            f"{begin.replace('_', '-')}-{kind}-accepted",
            requirement,
            f"A {request} is accepted although its {member} is {in_words(kind)}.",
            accepts(request, member, test, by),
        )


def _withheld() -> Iterator[Deviation]:
    for begin, requirement, what in WITHHELD:
        kept = answers("error", silence, broke(requirement))
        yield Deviation(f"{begin}-unanswered", requirement, f"{what} stays unanswered.", kept)
        if code := _SWAPPED.get(requirement):
            swapped = answers("error", put("code", code), broke(requirement))
            yield Deviation(f"{begin}-swapped-code", requirement, f"{what} is refused with {code}.", swapped)


def _open_sesame(when: Callable[[Attempt, Refused], bool]) -> Change:
    """Authenticate a connection whose token was refused, where `when` holds."""

    def let_in(attempt: Attempt, refused: Refused) -> None:
        if refused.code is ErrorCode.INVALID_TOKEN and not attempt.connection.identity and when(attempt, refused):
            attempt.connection.protocol.state = State.AUTHENTICATED

    return part(refused=let_in, stranger=named_tenant)


def _understood_as(test: Callable[[str], bool]) -> Change:
    """Take a message of another type for a heartbeat, where `test` holds of the type."""

    def change(behaviour: Behaviour) -> Behaviour:
        def understand(value: object) -> Message | Violation:
            name = value.get("type") if isinstance(value, dict) else None
            return Heartbeat() if isinstance(name, str) and test(name) else behaviour.understand(value)

        return replace(behaviour, understand=understand)

    return change


def _heartbeat_in_array(behaviour: Behaviour) -> Behaviour:
    def understand(value: object) -> Message | Violation:
        held = isinstance(value, dict) and value.get("type") == ["heartbeat"]
        return Heartbeat() if held else behaviour.understand(value)

    return replace(behaviour, understand=understand)


def _refused_where(test: Callable[[TunnelInfo], bool], code: ErrorCode) -> Change:
    """Refuse good tunnels, where `test` holds."""

    def refusing(step: Step) -> tuple[Step, ...]:
        def check(attempt: Attempt) -> None:
            if isinstance(attempt.request, TunnelInfo) and test(attempt.request):
                raise Refused(code, "not this one")

        return Step("refuses-good-ones", check), step

    return each_step("own-tenant", refusing)


def _every_second(attempt: Attempt) -> bool:
    return sum(attempt.connection.sent[kind] for kind in (_OPENED, "error")) % 2 == 1


def _unavailable_now_and_then(behaviour: Behaviour) -> Behaviour:
    def check(attempt: Attempt) -> None:
        if _every_second(attempt):
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "not now")

    step = Step("now-and-then", check)
    return replace(behaviour, steps={**behaviour.steps, TunnelInfo: (*behaviour.steps[TunnelInfo], step)})


def _only_one(attempt: Attempt) -> None:
    if attempt.connection.tunnels:
        raise Refused(ErrorCode.INVALID_TUNNEL_INFO, "there is one already")


def _one_tunnel(behaviour: Behaviour) -> Behaviour:
    step = Step("one-tunnel", _only_one)
    return replace(behaviour, steps={**behaviour.steps, TunnelInfo: (*behaviour.steps[TunnelInfo], step)})


def _others_are_newer(exchange: AnswerContext) -> bool:
    own = exchange.connection
    return any(other.number > own.number and other.identity for other in own.relay.connections)


def _with(*surplus: Body) -> Callable[[Body, AnswerContext], list[Body]]:
    return lambda body, _: [body, *surplus]


def _tenant_before(behaviour: Behaviour) -> Behaviour:
    """Name the tenant of whoever authenticated before."""
    last: dict[int, str] = {}

    def edit(body: Body, exchange: AnswerContext) -> Body:
        key = id(exchange.connection.relay)
        before = last.get(key, body["tenant_id"])
        last[key] = body["tenant_id"]
        return {**body, "tenant_id": before}

    return answers("auth_response", edit)(behaviour)


def _first_tenant(exchange: AnswerContext) -> str:
    return next(iter(exchange.connection.relay.tenants))


def _last_tenant(exchange: AnswerContext) -> str:
    return [*exchange.connection.relay.tenants][-1]


HELLO = (
    Deviation(
        "hello-without-any-feature-refused",
        "CB-HEL-008",
        "A hello must list a feature.",
        answers(
            "hello_response",
            instead(type="error", code="unknown_message_type", message="not enough"),
            lambda exchange: isinstance(exchange.request, Hello) and not exchange.request.features,
        ),
    ),
    Deviation(
        "hello-every-second-refused",
        "CB-HEL-001",
        "Every second connection's hello is refused.",
        answers(
            "hello_response",
            instead(type="error", code="unknown_message_type", message="not now"),
            lambda exchange: exchange.connection.number % 2 == 0,
        ),
    ),
    Deviation(
        "heartbeat-before-hello-answered",
        "CB-HEL-007",
        "A heartbeat needs no hello before it.",
        rule(State.CONNECTED, Heartbeat, Serve(HeartbeatResponse, State.CONNECTED, "CB-HBT-001")),
    ),
    Deviation(
        "before-hello-unanswered",
        "CB-HEL-007",
        "What comes before hello stays unanswered.",
        answers("error", silence, broke("CB-HEL-007")),
    ),
)

AUTH = (
    Deviation("auth-answered-twice", "CB-MSG-004", "An auth is answered twice.", answers("auth_response", twice)),
    Deviation(
        "auth-tenant-always-the-first",
        "CB-AUT-003",
        "The auth_response names the relay's first tenant, whoever it is.",
        answers("auth_response", put("tenant_id", _first_tenant)),
    ),
    Deviation(
        "auth-tenant-of-the-one-before",
        "CB-AUT-003",
        "The auth_response names the tenant of whoever authenticated before.",
        _tenant_before,
    ),
    Deviation(
        "expired-but-authenticated",
        "CB-AUT-016",
        "After an expired token was refused the connection may open tunnels all the same.",
        _open_sesame(lambda _, refused: "expired" in refused.text),
    ),
    Deviation(
        "missing-token-but-authenticated",
        "CB-AUT-016",
        "After an auth without a token was refused the connection may open tunnels all the same.",
        _open_sesame(lambda attempt, refused: attempt.request is None and "is missing" in refused.text),
    ),
    Deviation(
        "nbf-wrong-code",
        "CB-AUT-006",
        "A token before its time is refused with tenant_not_found.",
        answers(
            "error:invalid_token",
            lambda body, _: {**body, "code": "tenant_not_found"} if "valid yet" in body["message"] else body,
        ),
    ),
)

TUNNEL = (
    Deviation(
        "tunnel-every-second-unavailable",
        "CB-TUN-001",
        "Every second tunnel of a connection is refused with server_unavailable.",
        _unavailable_now_and_then,
    ),
    Deviation("tunnel-second-refused", "CB-TUN-001", "A connection may open one tunnel only.", _one_tunnel),
    Deviation(
        "local-port-65535-refused",
        "CB-TUN-001",
        "The highest local_port is refused.",
        _refused_where(lambda request: request.local_port == 65535, ErrorCode.INVALID_TUNNEL_INFO),
    ),
    Deviation(
        "local-port-privileged-refused",
        "CB-TUN-001",
        "A local_port below 1024 is refused.",
        _refused_where(lambda request: request.local_port < 1024, ErrorCode.INVALID_TUNNEL_INFO),
    ),
    Deviation(
        "tunnel-for-another-tenant-unanswered",
        "CB-TEN-007",
        "A tunnel_info for another tenant stays unanswered.",
        answers("error:tenant_not_found", silence, asked(TunnelInfo)),
    ),
    Deviation(
        "tunnel-before-auth-as-invalid",
        "CB-TUN-004",
        "A tunnel_info before auth is refused with invalid_tunnel_info.",
        rule(State.GREETED, TunnelInfo, Refuse(ErrorCode.INVALID_TUNNEL_INFO, "CB-TUN-004", "authenticate first")),
    ),
)

HEARTBEAT = (
    Deviation(
        "heartbeat-with-tunnel-unanswered",
        "CB-HBT-001",
        "A connection with a tunnel gets no heartbeat_response.",
        answers("heartbeat_response", silence, lambda exchange: bool(exchange.connection.tunnels)),
    ),
    Deviation(
        "heartbeat-without-tunnel-unanswered",
        "CB-HBT-001",
        "A connection without a tunnel gets no heartbeat_response.",
        answers("heartbeat_response", silence, lambda exchange: not exchange.connection.tunnels),
    ),
    Deviation(
        "heartbeat-after-error-unanswered",
        "CB-HBT-001",
        "After an error a connection gets no heartbeat_response.",
        answers("heartbeat_response", silence, lambda exchange: bool(exchange.connection.sent["error"])),
    ),
    Deviation(
        "heartbeat-fiftieth-closes",
        "CB-HBT-001",
        "A connection ends behind its fiftieth heartbeat_response.",
        part(ends=lambda body, exchange: body["type"] == "heartbeat_response" and exchange.nth == 50),
    ),
    Deviation(
        "heartbeat-of-the-newest-only",
        "CB-HBT-001",
        "Only the connection that came last gets heartbeat_responses.",
        answers("heartbeat_response", silence, _others_are_newer),
    ),
    Deviation(
        "heartbeat-unasked",
        "CB-MSG-004",
        "A heartbeat_response follows every tunnel_response.",
        answers(_OPENED, _with({"type": "heartbeat_response"})),
    ),
    Deviation(
        "error-unasked",
        "CB-MSG-004",
        "An error with code invalid_tunnel_info follows every tunnel_response.",
        answers(_OPENED, _with({"type": "error", "code": "invalid_tunnel_info", "message": "by the way"})),
    ),
    Deviation(
        "error-and-success",
        "CB-MSG-004",
        "A tunnel_info whose local_port is out of range draws an error and then a heartbeat_response.",
        answers(
            "error:invalid_tunnel_info",
            _with({"type": "heartbeat_response"}),
            broke("CB-TUN-007"),
        ),
    ),
)

UNKNOWN = (
    Deviation(
        "type-trimmed", "CB-UNK-001", "White space around a type is ignored.", _understood_as(lambda n: n != n.strip())
    ),
    Deviation("type-ends-at-nul", "CB-UNK-001", "A type ends at a NUL character.", _understood_as(lambda n: "\0" in n)),
    Deviation(
        "type-abbreviated",
        "CB-UNK-001",
        "The beginning of a type will do.",
        _understood_as(lambda n: len(n) > 2 and "heartbeat".startswith(n) and n != "heartbeat"),
    ),
    Deviation(
        "type-with-more-behind",
        "CB-UNK-001",
        "What follows a known type is ignored.",
        _understood_as(lambda n: n == "heartbeats"),
    ),
    Deviation("type-ping-understood", "CB-UNK-001", "A ping is a heartbeat.", _understood_as(lambda n: n == "ping")),
    Deviation(
        "unknown-type-echoed",
        "CB-MSG-003",
        "A message of unknown type is sent back.",
        answers("error:unknown_message_type", instead(type="cbspec_unknown"), broke("CB-UNK-001")),
    ),
    Deviation(
        "type-in-array-accepted",
        "CB-UNK-002",
        "A type may stand in an array.",
        _heartbeat_in_array,
    ),
    Deviation(
        "error-names-another-tenant",
        "CB-ERR-004",
        "The error for a token names a tenant that isn't the client's.",
        answers("error:invalid_token", put("message", lambda exchange: f"not {_last_tenant(exchange)}")),
    ),
)

DEVIATIONS = (*_accepted(), *_withheld(), *HELLO, *AUTH, *TUNNEL, *HEARTBEAT, *UNKNOWN)
