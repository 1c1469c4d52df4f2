"""Ways to be wrong about tunnel_info and its answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec.protocol.state import Refuse, State
from cbspec_simulator.variations.compose import (
    Test,
    accepts,
    answers,
    both,
    drop,
    instead,
    missing,
    part,
    put,
    refuses,
    rule,
    silence,
    turn,
    twice,
)
from cbspec_simulator.variations.deviations.auth import named_tenant, serve_stranger
from cbspec_simulator.variations.deviations.kind import Deviation, in_words

_ANSWER = "tunnel_response"
_NO_ID = "\0none"


def _is_null(value: object) -> bool:
    return value is None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_digits(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and 0 < int(value[:9]) <= 65535


def _is_array(value: object) -> bool:
    return isinstance(value, list)


def _number_where(test: Callable[[float], bool]) -> Test:
    return lambda value: _is_number(value) and test(value)


_NEGATIVE = _number_where(lambda value: value < 0)
_FRACTION = _number_where(lambda value: value != value // 1 and 1 <= value < 65535)
_TOO_HIGH = _number_where(lambda value: value > 65535)
_ZERO = _number_where(lambda value: value == 0)

_PORTS: tuple[tuple[str, str, Test, object, int], ...] = (
    ("missing", "is missing", missing, 1, 0),
    ("null", "is null", _is_null, 1, 0),
    ("string", "is a string of digits", _is_digits, int, 0),
    ("true", "is true", lambda value: value is True, 1, 0),
    ("negative", "is negative", _NEGATIVE, 1, 1),
    ("fraction", "has a fraction", _FRACTION, int, 1),
    ("over-65535", "is over 65535", _TOO_HIGH, 1, 1),
)
_TEXTS: tuple[tuple[str, str, Test, object], ...] = (
    ("missing", "is missing", missing, "missing"),
    ("null", "is null", _is_null, "null"),
    ("number", "is a number", _is_number, str),
    ("array", "is an array", _is_array, str),
)


def _accepting() -> Iterator[Deviation]:
    for member, requirements in (
        ("local_port", ("CB-TUN-006", "CB-TUN-007")),
        ("remote_port", ("CB-TUN-009", "CB-TUN-010")),
    ):
        for name, what, test, by, place in _PORTS:
            yield _accepted(member, name, requirements[place], what, test, by)
    yield _accepted("remote_port", "zero", "CB-TUN-010", "is 0", _ZERO, 1)
    yield _accepted("local_port", "zero", "CB-TUN-011", "is 0", _ZERO, 1)
    for member, requirement in (("tunnel_id", "CB-TUN-005"), ("remote_host", "CB-TUN-008")):
        for name, what, test, by in _TEXTS:
            yield _accepted(member, name, requirement, what, test, by)
    yield _accepted("remote_host", "blank", "CB-TUN-013", "is empty or blank", _is_blank, "blank")


def _accepted(member: str, name: str, requirement: str, what: str, test: Test, by: object) -> Deviation:
    return Deviation(
        f"{member.replace('_', '-')}-{name}-accepted",
        requirement,
        f"A tunnel_info is accepted although its {member} {what}.",
        accepts("tunnel_info", member, test, by),
    )


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _wrong_codes() -> Iterator[Deviation]:
    rows: tuple[tuple[str, str, str, Test], ...] = (
        ("tunnel_id", "missing", "CB-TUN-005", missing),
        ("local_port", "missing", "CB-TUN-006", missing),
        ("local_port", "over-65535", "CB-TUN-007", _TOO_HIGH),
        ("remote_host", "missing", "CB-TUN-008", missing),
        ("remote_port", "string", "CB-TUN-009", _is_digits),
        ("remote_port", "zero", "CB-TUN-010", _ZERO),
    )
    for member, name, requirement, test in rows:
        yield Deviation(
            f"{member.replace('_', '-')}-{name}-wrong-code",
            requirement,
            f"A tunnel_info whose {member} is {in_words(name)} is refused with unknown_message_type.",
            refuses("tunnel_info", member, test, ErrorCode.UNKNOWN_MESSAGE_TYPE),
        )


DEVIATIONS = (
    Deviation("tunnel-unanswered", "CB-TUN-001", "A tunnel_info is never answered.", answers(_ANSWER, silence)),
    Deviation(
        "tunnel-refused",
        "CB-TUN-001",
        "Every tunnel_info is refused.",
        answers(_ANSWER, instead(type="error", code="invalid_tunnel_info", message="no")),
    ),
    Deviation(
        "tunnel-status-created",
        "CB-TUN-001",
        'The tunnel_response\'s status is "created".',
        answers(_ANSWER, put("status", "created")),
    ),
    Deviation(
        "tunnel-status-missing", "CB-TUN-001", "The tunnel_response has no status.", answers(_ANSWER, drop("status"))
    ),
    Deviation("tunnel-answered-twice", "CB-MSG-004", "A tunnel_info is answered twice.", answers(_ANSWER, twice)),
    Deviation(
        "tunnel-id-missing", "CB-TUN-002", "The tunnel_response has no tunnel_id.", answers(_ANSWER, drop("tunnel_id"))
    ),
    Deviation(
        "tunnel-id-capitals",
        "CB-TUN-002",
        "The tunnel_response names the tunnel in capitals.",
        answers(_ANSWER, turn("tunnel_id", str.upper)),
    ),
    Deviation(
        "tunnel-id-truncated",
        "CB-TUN-002",
        "The tunnel_response names only the first eight characters of the tunnel.",
        answers(_ANSWER, turn("tunnel_id", lambda name: name[:8])),
    ),
    Deviation(
        "tunnel-id-trimmed",
        "CB-TUN-002",
        "The tunnel_response names the tunnel without the white space at its ends.",
        answers(_ANSWER, turn("tunnel_id", str.strip)),
    ),
    Deviation(
        "tunnel-id-normalised",
        "CB-TUN-002",
        "The tunnel_response names the tunnel in Unicode's composed form.",
        answers(_ANSWER, turn("tunnel_id", lambda name: unicodedata.normalize("NFKC", name))),
    ),
    Deviation(
        "tunnel-id-ascii-only",
        "CB-TUN-002",
        "The tunnel_response has a question mark for every character beyond ASCII.",
        answers(_ANSWER, turn("tunnel_id", lambda name: name.encode("ascii", "replace").decode())),
    ),
    Deviation(
        "tunnel-id-of-its-own",
        "CB-TUN-002",
        "The tunnel_response names a number of the relay's own.",
        answers(_ANSWER, put("tunnel_id", lambda exchange: f"t{exchange.nth}")),
    ),
    Deviation(
        "tunnel-before-auth",
        "CB-TUN-003",
        "A tunnel_info after hello needs no auth.",
        both(serve_stranger(State.GREETED), part(stranger=named_tenant)),
    ),
    Deviation(
        "tunnel-before-hello",
        "CB-TUN-003",
        "A tunnel_info as the first message needs no auth.",
        both(serve_stranger(State.CONNECTED), part(stranger=named_tenant)),
    ),
    Deviation(
        "tunnel-before-auth-wrong-code",
        "CB-TUN-004",
        "A tunnel_info before auth is refused with tenant_not_found.",
        rule(State.GREETED, TunnelInfo, Refuse(ErrorCode.TENANT_NOT_FOUND, "CB-TUN-004", "authenticate first")),
    ),
    Deviation(
        "tunnel-id-empty-accepted",
        "CB-TUN-012",
        "A tunnel_info is accepted although its tunnel_id is empty.",
        both(
            accepts("tunnel_info", "tunnel_id", lambda value: value == "", _NO_ID),
            answers(_ANSWER, turn("tunnel_id", lambda name: "" if name == _NO_ID else name)),
        ),
    ),
    *_accepting(),
    *_wrong_codes(),
)
