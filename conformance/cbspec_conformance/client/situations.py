"""The situations in which a client is judged: one row each, with the faults of the simulator that make it.

Every situation changes one thing about a conforming relay. `cbspec simulate` can be put into the same situation: the
faults are those of its scenarios.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cbspec.protocol.codes import ErrorCode

STEPS: Final = {
    "hello": "hello_response",
    "auth": "auth_response",
    "tunnel_info": "tunnel_response",
    "heartbeat": "heartbeat_response",
}
"""The steps of a session: each request with its answer."""

UNKNOWN_CODE: Final = "maintenance_window"
"""A code that the specification doesn't have."""

_Fault = Mapping[str, Any]


class Kind(StrEnum):
    """What a situation does, which says how it is watched and judged."""

    CLEAN = "clean"  # nothing: the control
    DOWN = "down"  # the port refuses connections: shows what the client prints when it fails
    TOLERATED = "tolerated"  # a conforming relay with another style
    OBSERVED = "observed"  # a point that the specification leaves open
    REFUSED = "refused"  # an error, or the status "error"
    BROKEN = "broken"  # an answer that isn't one
    SILENT = "silent"  # no answer
    LOST = "lost"  # the end of the connection in answer to a request
    DROPPED = "dropped"  # the end of the connection while the client is up
    RETRIED = "retried"  # every attempt fails, for some time
    UNTRUSTED = "untrusted"  # a TLS handshake that must not lead to a token
    UPGRADE = "upgrade"  # a WebSocket handshake that must fail


@dataclass(frozen=True, slots=True)
class Situation:
    """One situation. `requirement` is the one that a client breaks if it goes on as if nothing had happened.

    `step` is the request that is concerned, "" for none or all. `faults` are active from the start; `code` is the error
    code that the relay sends; `drop` is how the connection ends once the client is up. `variations` are deviations and
    variants of the simulator. `quick`: it is part of a quick run. `transport` restricts it to one transport.
    """

    name: str
    about: str
    kind: Kind
    requirement: str
    step: str = ""
    faults: tuple[_Fault, ...] = ()
    code: str = ""
    drop: str = ""
    variations: tuple[str, ...] = ()
    quick: bool = False
    transport: str = ""


CLEAN: Final = Situation("clean", "a conforming relay without any fault", Kind.CLEAN, "CC-TLS-001", quick=True)
PACED: Final = Situation(
    "answers-paced",
    "every answer comes a quarter of a second late, so that the order of answers and output is certain",
    Kind.TOLERATED,
    "CC-TOL-001",
    faults=({"kind": "latency", "seconds": 0.25},),
    quick=True,
)
DOWN: Final = Situation(
    "relay-down",
    "the relay's port refuses connections",
    Kind.DOWN,
    "CC-REC-001",
    faults=({"kind": "refuse"},),
    quick=True,
)

_QUICK_REFUSALS: Final = {
    ("hello", ErrorCode.SERVER_UNAVAILABLE),
    ("auth", ErrorCode.INVALID_TOKEN),
    ("tunnel_info", ErrorCode.TENANT_LIMIT_EXCEEDED),
    ("heartbeat", ErrorCode.RATE_LIMIT_EXCEEDED),
}
_REFUSED: Final = {
    "hello": "CC-REF-001",
    "auth": "CC-REF-002",
    "tunnel_info": "CC-REF-003",
    "heartbeat": "CC-REF-004",
}


def _refusals() -> Iterator[Situation]:
    for step, requirement in _REFUSED.items():
        for code in ErrorCode:
            about = f"every {step} is answered by the error {code}"
            fault = _error(step, str(code))
            quick = (step, code) in _QUICK_REFUSALS
            yield Situation(
                f"{step}-{code}", about, Kind.REFUSED, requirement, step, (fault,), code=str(code), quick=quick
            )
        about = f"every {step} is answered by an error whose code isn't in the specification"
        fault = _error(step, UNKNOWN_CODE)
        quick = step == "auth"
        yield Situation(
            f"{step}-unknown-code", about, Kind.REFUSED, "CC-REF-008", step, (fault,), code=UNKNOWN_CODE, quick=quick
        )
    full = {"kind": "limits", "tunnels": 0, "when": {"message": "tunnel_info"}}
    yield Situation(
        "tenant-at-its-limit",
        "the tenant's tunnel limit is reached",
        Kind.REFUSED,
        "CC-REF-003",
        "tunnel_info",
        (full,),
        code="tenant_limit_exceeded",
    )
    for step in ("auth", "tunnel_info"):
        about = f'every {step} is answered by a {STEPS[step]} with status "error"'
        fault = _member(step, "status", "error")
        yield Situation(f"{step}-status-error", about, Kind.REFUSED, "CC-REF-007", step, (fault,), quick=step == "auth")


def _error(step: str, code: str) -> _Fault:
    """Return the fault that refuses a request; the message doesn't repeat the code, since clients have to show it."""
    return {"kind": "error", "code": code, "text": "not now", "when": {"message": step}}


def _on(step: str, kind: str, **params: Any) -> _Fault:  # noqa: ANN401 - parameters of any kind of fault
    """Return a fault that strikes the answers to a request."""
    return {"kind": kind, **params, "when": {"message": STEPS[step]}}


def _member(step: str, name: str, value: object) -> _Fault:
    return _on(step, "member", member=name, value=value)


_SURPRISE: Final = "surprise"
_MISSING: Final = {
    "hello": ("version", "features", "type"),
    "auth": ("status", "client_id", "tenant_id", "type"),
    "tunnel_info": ("status", "tunnel_id", "type"),
    "heartbeat": ("type",),
}
_MISTYPED: Final[tuple[tuple[str, str, str, object], ...]] = (
    ("hello", "version", "a number", 1.0),
    ("hello", "features", "a string", "tls,heartbeat"),
    ("hello", "features", "an array of numbers", [1, 2]),
    ("auth", "status", "a boolean", True),
    ("auth", "client_id", "a number", 7),
    ("auth", "tenant_id", "null", None),
    ("tunnel_info", "status", "a boolean", True),
    ("tunnel_info", "tunnel_id", "a number", 7),
)


def _broken() -> Iterator[Situation]:
    for step, answer in STEPS.items():
        quick = step == "auth"

        def row(
            name: str,
            about: str,
            id_: str,
            *faults: _Fault,
            step: str = step,
            answer: str = answer,
            quick: bool = quick,
        ) -> Situation:
            return Situation(
                f"{step}-answer-{name}", f"every {answer} {about}", Kind.BROKEN, id_, step, faults, quick=quick
            )

        beat = step == "heartbeat"
        note = _member(step, "note", "nothing")  # the damage is in the last string: not in one that is compared
        yield row("not-utf-8", "contains a byte that isn't UTF-8", "CC-BRK-001", note, _on(step, "damage-utf-8"))
        yield row("not-json", "isn't JSON", "CC-BRK-002", _on(step, "damage-json", how="single-quotes"))
        yield row("words", "is replaced by words", "CC-BRK-002", _on(step, "damage-json", how="words"), quick=False)
        cut = _on(step, "close", bytes=12)
        yield row("cut-off", "ends in its middle, and the connection with it", "CC-BRK-003", cut)
        wrong = "CC-BRK-011" if beat else "CC-BRK-004"
        other = "hello_response" if beat else "heartbeat_response"
        yield row("wrong-type", f"has the type {other}", wrong, _on(step, "wrong-type", type=other))
        yield row("unknown-type", "has an unknown type", wrong, _on(step, "wrong-type", type=_SURPRISE), quick=False)
        for member in _MISSING[step]:
            missing = _on(step, "missing-member", member=member)
            seen = wrong if beat else "CC-BRK-005"
            yield row(f"without-{member}", f"lacks the member {member}", seen, missing, quick=member == "client_id")
    for step, member, type_, value in _MISTYPED:
        about = f"every {STEPS[step]} has {type_} as its {member}"
        name = f"{step}-answer-{member}-{type_.split()[-1]}"
        fault = _member(step, member, value)
        quick = member == "client_id"
        yield Situation(name, about, Kind.BROKEN, "CC-BRK-006", step, (fault,), quick=quick)
    for step in ("auth", "tunnel_info"):
        about = f'every {STEPS[step]} has the status "pending"'
        fault = _member(step, "status", "pending")
        yield Situation(
            f"{step}-status-pending", about, Kind.BROKEN, "CC-BRK-007", step, (fault,), quick=step == "auth"
        )
    yield Situation(
        "other-tunnel-id",
        "every tunnel_response is for another tunnel_id",
        Kind.BROKEN,
        "CC-BRK-008",
        "tunnel_info",
        (_on("tunnel_info", "wrong-id"),),
        quick=True,
    )
    yield Situation(
        "other-tenant",
        "every auth_response names another tenant than the token",
        Kind.BROKEN,
        "CC-AUT-003",
        "auth",
        (_on("auth", "wrong-tenant", value="tenant-002"),),
        quick=True,
    )


_ENDS: Final = {
    "reset": "is reset",
    "close": "is closed",
    "close-without-notify": "is closed without close_notify",
}


def _losses() -> Iterator[Situation]:
    for step in STEPS:
        for how, about in _ENDS.items():
            fault = {"kind": how, "when": {"message": step}}
            quick = (step, how) == ("hello", "reset")
            yield Situation(
                f"{step}-{how}", f"the connection {about} instead of an answer to {step}", Kind.LOST, "CC-BRK-009",
                step, (fault,), quick=quick,
            )  # fmt: skip
    for how, about in _ENDS.items():
        yield Situation(
            f"up-{how}", f"the connection {about} while the client is up", Kind.DROPPED, "CC-BRK-009", drop=how,
            quick=how == "reset",
        )  # fmt: skip


def _silences() -> Iterator[Situation]:
    stall = {"kind": "handshake-stall"}
    yield Situation(
        "silent-handshake", "the TLS handshake stops", Kind.SILENT, "CC-SIL-001", faults=(stall,), quick=True
    )
    for step, requirement in (("hello", "CC-SIL-002"), ("auth", "CC-SIL-003"), ("tunnel_info", "CC-SIL-004")):
        fault = {"kind": "drop", "when": {"message": step}}
        yield Situation(
            f"silent-{step}", f"no {step} is answered", Kind.SILENT, requirement, step, (fault,), quick=step == "auth"
        )
    fault = {"kind": "drop", "when": {"message": "heartbeat"}}
    yield Situation(
        "silent-heartbeat", "no heartbeat is answered", Kind.SILENT, "CC-BRK-010", "heartbeat", (fault,), quick=True
    )


_NOTE: Final = "größer als 日本語 🚇"


def _styles() -> Iterator[Situation]:
    def row(
        name: str,
        about: str,
        id_: str,
        *faults: _Fault,
        quick: bool = False,
        variations: tuple[str, ...] = (),
        transport: str = "",
    ) -> Situation:
        kind = Kind.OBSERVED if id_[-3] == "1" else Kind.TOLERATED
        return Situation(name, about, kind, id_, faults=faults, variations=variations, quick=quick, transport=transport)

    tcp = "tcp"
    note = {"kind": "member", "member": "note", "value": _NOTE}
    yield row(
        "answers-dribbled", "answers arrive byte by byte", "CC-TOL-001", {"kind": "dribble", "bytes": 1}, quick=True
    )
    places = {"kind": "split", "at": [1, 2, 9, 30], "seconds": 0.02}
    yield row("answers-split", "answers arrive in five pieces", "CC-TOL-002", places, quick=True)
    yield row(
        "answers-split-in-characters", "answers are split within characters", "CC-TOL-002", note,
        {"kind": "dribble", "bytes": 3},
    )  # fmt: skip
    yield row("answers-merged", "two answers arrive together", "CC-TOL-003", {"kind": "merge", "messages": 2})
    more = (
        {"kind": "member", "member": "server_time", "value": 1767225600},
        {"kind": "member", "member": "limits", "value": {"tunnels": [1, {"type": "error"}]}},
    )
    yield row("answers-with-more-members", "answers have additional members", "CC-TOL-004", *more, quick=True)
    for how, id_, about in (
        ("order", "CC-TOL-005", "the members of answers are in another order"),
        ("escapes", "CC-TOL-006", "every character of the answers' strings is escaped"),
        ("white-space", "CC-TOL-006", "answers have white space between their tokens"),
    ):
        yield row(f"answers-{how}", about, id_, {"kind": "spelling", "how": how}, quick=how != "white-space")
    yield row("answers-multi-byte", "answers have characters of several bytes", "CC-TOL-007", note, quick=True)
    for id_, about in (
        ("indented", "go over several lines"),
        ("crlf", "end with CR LF"),
        ("blank-lines", "are separated by blank lines"),
    ):
        yield row(f"answers-{id_}", f"answers {about}", "CC-TOL-101", variations=(id_,), transport=tcp)
    yield row("answers-large", "answers are a megabyte long", "CC-TOL-101", {"kind": "oversize", "bytes": 1_000_000})
    yield row("answers-late", "answers come after half a second", "CC-TOL-102", {"kind": "latency", "seconds": 0.5})
    for name, body in (
        ("unsolicited-heartbeat-response", {"type": "heartbeat_response"}),
        ("unsolicited-error", {"type": "error", "code": "server_unavailable", "message": "draining"}),
    ):
        fault = {"kind": "unsolicited", "body": body, "when": {"message": "auth_response"}}
        yield row(name, f"a {body['type']} that answers nothing follows the auth_response", "CC-TOL-102", fault)
    starting = {"kind": "unavailable", "when": {"after": "first connection", "end": 2}}
    yield row(
        "unavailable-at-first", "the relay refuses all work for two seconds, and then serves", "CC-REC-101", starting
    )
    yield row("answers-twice", "every answer is sent twice", "CC-TOL-102", {"kind": "duplicate"})
    yield row("answers-in-arrays", "answers are in arrays", "CC-BRK-101", {"kind": "damage-json", "how": "array"})


def _attempts() -> Iterator[Situation]:
    busy = _error("hello", "server_unavailable")
    yield Situation(
        "always-unavailable", "every hello is refused with server_unavailable, for some time", Kind.RETRIED,
        "CC-RTY-001", "hello", (busy,), code="server_unavailable", quick=True,
    )  # fmt: skip
    yield Situation(
        "always-rate-limited", "every auth is refused with rate_limit_exceeded, for some time", Kind.RETRIED,
        "CC-RTY-001", "auth", (_error("auth", "rate_limit_exceeded"),),
        code="rate_limit_exceeded",
    )  # fmt: skip
    yield Situation(
        "always-lost", "every connection is closed when its hello arrives, for some time", Kind.RETRIED, "CC-REC-002",
        "hello", ({"kind": "close", "when": {"message": "hello"}},), quick=True,
    )  # fmt: skip


_CERTIFICATES: Final = (
    ("certificate-expired", "CC-TLS-004", "the certificate has expired"),
    ("certificate-not-yet-valid", "CC-TLS-005", "the certificate isn't valid yet"),
    ("certificate-other-name", "CC-TLS-006", "the certificate is for another name"),
    ("certificate-unknown-ca", "CC-TLS-007", "the certificate is from an unknown CA"),
)


def _untrusted() -> Iterator[Situation]:
    def row(name: str, about: str, id_: str, fault: _Fault) -> Situation:
        return Situation(name, about, Kind.UNTRUSTED, id_, faults=(fault,), quick=True)

    yield row("tls-1.2-only", "the relay offers TLS 1.2 only", "CC-TLS-002", {"kind": "tls-1.2"})
    yield row("tls-refused", "every TLS handshake is refused", "CC-TLS-003", {"kind": "handshake-alert"})
    for kind, id_, about in _CERTIFICATES:
        yield row(kind, about, id_, {"kind": kind})
    later = {"kind": "certificate-unknown-ca", "when": {"after": 1}}
    yield Situation(
        "certificate-changes",
        "the certificate of every connection but the first is from an unknown CA",
        Kind.UNTRUSTED,
        "CC-TLS-008",
        faults=(later,),
        drop="reset",
        quick=True,
    )


def _websocket() -> Iterator[Situation]:
    def row(
        name: str, about: str, kind: Kind, id_: str, *faults: _Fault, variations: tuple[str, ...] = ()
    ) -> Situation:
        return Situation(
            name, about, kind, id_, "" if kind is not Kind.BROKEN else "auth", faults, variations=variations,
            transport="websocket", quick=True,
        )  # fmt: skip

    accept = ("websocket-wrong-accept",)
    yield row(
        "upgrade-wrong-accept", "the accept value is for another key", Kind.UPGRADE, "CC-WSK-003", variations=accept
    )
    deflate = ("websocket-deflate-unasked",)
    yield row(
        "upgrade-extension", "the relay names permessage-deflate, offered or not", Kind.UPGRADE, "CC-WSK-005",
        variations=deflate,
    )  # fmt: skip
    pings = ({"kind": "websocket-pings", "payload": "how are you"},)
    yield row("websocket-pings", "a ping comes before every answer", Kind.TOLERATED, "CC-WSK-004", *pings)
    pieces = ({"kind": "websocket-fragments", "bytes": 5}, {"kind": "websocket-pings", "payload": "between"})
    yield row(
        "websocket-fragments", "answers come in fragments, with pings between them", Kind.TOLERATED, "CC-WSK-006",
        *pieces,
    )  # fmt: skip
    for how in ("masked", "reserved-bit", "unknown-opcode", "continuation-first"):
        fault = {"kind": "websocket-broken-frame", "how": how, "when": {"message": "auth_response"}}
        yield row(
            f"websocket-{how}", f"the frame of every auth_response is broken: {how}", Kind.BROKEN, "CC-WSK-009", fault
        )
    close = {"kind": "websocket-close", "when": {"message": "auth_response"}}
    yield Situation(
        "websocket-close", "a close frame is the answer to every auth", Kind.LOST, "CC-BRK-009", "auth", (close,),
        transport="websocket", quick=True,
    )  # fmt: skip


SITUATIONS: Final[Mapping[str, Situation]] = {
    row.name: row
    for row in (
        CLEAN,
        DOWN,
        PACED,
        *_untrusted(),
        *_silences(),
        *_refusals(),
        *_broken(),
        *_losses(),
        *_attempts(),
        *_styles(),
        *_websocket(),
    )
}
"""Every situation by its name."""


def situations(transport: str, *, quick: bool) -> list[Situation]:
    """Return the situations of a run over a transport, the slow ones first, so that they run next to the others."""
    chosen = [row for row in SITUATIONS.values() if row.transport in ("", transport) and (row.quick or not quick)]
    slow = (Kind.SILENT, Kind.RETRIED, Kind.DROPPED)
    return sorted(chosen, key=lambda row: row.kind not in slow)
