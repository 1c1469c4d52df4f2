"""Deviations of tunnel_info and its answer."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo, TunnelResponse
from cbspec.protocol.state import Refuse, Serve, State
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.answers import answers, mapped
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.requests import Test, accepts, of_type, refuses
from cbspec_simulator.variations.steps import added, named_tenant, rule

_ANSWER = "tunnel_response"
_NO_ID = "\0none"


def served_in(state: State) -> Change:
    """Serve a tunnel_info in a state before auth."""
    return rule(state, TunnelInfo, Serve(TunnelResponse, state, "CB-TUN-001"))


def _number(test: Callable[[float], bool]) -> Test:
    is_number = of_type(int, float)
    return lambda value: is_number(value) and test(value)


def _is_digits(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and 0 < int(value[:9]) <= 65535


_ZERO = _number(lambda value: value == 0)
_TOO_HIGH = _number(lambda value: value > 65535)

_FRACTION = _number(lambda value: value != value // 1 and 1 <= value < 65535)


def _accepted(member: str, test: Test, by: object) -> Change:
    return accepts("tunnel_info", member, test, by)


def _recoded(member: str, test: Test) -> Change:
    return refuses("tunnel_info", member, test, ErrorCode.UNKNOWN_MESSAGE_TYPE)


def _refusing(test: Callable[[Attempt], bool], code: ErrorCode = ErrorCode.INVALID_TUNNEL_INFO) -> Change:
    """Refuse valid tunnels for which `test` is true."""

    def check(attempt: Attempt) -> None:
        if test(attempt):
            raise Refused(code, "not this one")

    return added(TunnelInfo, Step("refuses-good-ones", check))


def _port(test: Callable[[int], bool]) -> Callable[[Attempt], bool]:
    return lambda attempt: isinstance(attempt.request, TunnelInfo) and test(attempt.request.local_port)


def _is_second(attempt: Attempt) -> bool:
    return sum(attempt.connection.sent[kind] for kind in (_ANSWER, "error")) % 2 == 1


def _another_tunnel(behaviour: Behaviour) -> Behaviour:
    """Send the tunnel_id that another connection requested last."""
    last: dict[tuple[int, int], str] = {}

    def edit(body: Body, exchange: AnswerContext) -> Body:
        request, session = exchange.request, exchange.connection
        if not isinstance(request, TunnelInfo):
            return body
        key = id(session.relay), session.number
        others = [name for other, name in last.items() if other[0] == key[0] and other != key]
        last[key] = request.tunnel_id
        return {**body, "tunnel_id": others[-1] if others and exchange.nth > 1 else request.tunnel_id}

    return answers(_ANSWER, edit)(behaviour)


_IDENTIFIERS: dict[str, Callable[[str], object]] = {
    "capitals": str.upper,
    "truncated": lambda name: name[:8],
    "lower-case": str.lower,
    "trimmed": str.strip,
    "normalised": lambda name: unicodedata.normalize("NFKC", name),
    "composed": lambda name: unicodedata.normalize("NFC", name),
    "ascii-only": lambda name: name.encode("ascii", "replace").decode(),
    "beyond-16-bits-lost": lambda name: re.sub("[\U00010000-\U0010ffff]", "", name),
    "html-escaped": html.escape,
    "html-unescaped": html.unescape,
    "url-decoded": unquote,
    "quotes-lost": lambda name: name.replace('"', ""),
    "backslashes-doubled": lambda name: name.replace("\\", "\\\\"),
    "placeholders-filled": lambda name: re.sub(r"\$\{\w+\}|\{\{\w+\}\}", "", name),
    "last-part-only": lambda name: name.rpartition("/")[2],
    "first-part-only": lambda name: name.partition("#")[0],
    "cut-at-nul": lambda name: name.partition("\0")[0],
    "cut-at-255": lambda name: name[:255],
    "cut-at-65535": lambda name: name[:65535],
}
"""What is made of a tunnel_id, by the end of the deviation's id."""

CHANGES: dict[str, Change] = {
    "tunnel-refused": answers(_ANSWER, lambda *_: {"type": "error", "code": "invalid_tunnel_info", "message": "no"}),
    "tunnel-every-second-unavailable": _refusing(_is_second, ErrorCode.SERVER_UNAVAILABLE),
    "tunnel-second-refused": _refusing(lambda attempt: bool(attempt.connection.tunnels)),
    "local-port-65535-refused": _refusing(_port(lambda port: port == 65535)),
    "local-port-privileged-refused": _refusing(_port(lambda port: port < 1024)),
    "tunnel-id-of-another-connection": _another_tunnel,
    **{f"tunnel-id-{name}": answers(_ANSWER, mapped("tunnel_id", made)) for name, made in _IDENTIFIERS.items()},
    "tunnel-before-auth": both(served_in(State.GREETED), part(identity_before_auth=named_tenant)),
    "tunnel-before-hello": both(served_in(State.CONNECTED), part(identity_before_auth=named_tenant)),
    "tunnel-before-auth-wrong-code": rule(
        State.GREETED, TunnelInfo, Refuse(ErrorCode.TENANT_NOT_FOUND, "CB-TUN-004", "authenticate first")
    ),
    "tunnel-id-object-accepted": _accepted("tunnel_id", of_type(dict), str),
    "local-port-string-accepted": _accepted("local_port", _is_digits, int),
    "local-port-true-accepted": _accepted("local_port", lambda value: value is True, 3389),
    "local-port-over-65535-accepted": _accepted("local_port", _TOO_HIGH, 3389),
    "local-port-fraction-accepted": _accepted("local_port", _FRACTION, int),
    "local-port-minus-one-accepted": _accepted("local_port", _number(lambda value: value == -1), 3389),
    "local-port-over-65535-wrong-code": _recoded("local_port", _TOO_HIGH),
    "remote-port-string-accepted": _accepted("remote_port", _is_digits, int),
    "remote-port-zero-accepted": _accepted("remote_port", _ZERO, 1),
    "remote-port-65536-accepted": _accepted("remote_port", _number(lambda value: value == 65536), 3389),
    "remote-port-zero-wrong-code": _recoded("remote_port", _ZERO),
    "local-port-zero-accepted": _accepted("local_port", _ZERO, 1),
    "tunnel-id-empty-accepted": both(
        accepts("tunnel_info", "tunnel_id", lambda value: value == "", _NO_ID),
        answers(_ANSWER, mapped("tunnel_id", lambda name: "" if name == _NO_ID else name)),
    ),
    "remote-host-blank-accepted": _accepted(
        "remote_host", lambda value: isinstance(value, str) and not value.strip(), "blank"
    ),
}
