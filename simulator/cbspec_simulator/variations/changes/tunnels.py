"""tunnel_info and its answer."""

from __future__ import annotations

import contextlib
import html
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from websockets.server import ServerProtocol

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.messages import Message, TunnelInfo, Violation
from cbspec.protocol.state import Refuse, State
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Step, new_tunnel
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import answers, instead, mapped
from cbspec_simulator.variations.changes.order import served_in
from cbspec_simulator.variations.parts import Change, around, both, framed, notes, websocket_by
from cbspec_simulator.variations.requests import Test, Understand, accepts, of_type, refuses
from cbspec_simulator.variations.steps import added, rule, tunnel_request

_NO_ID = "\0none"
_INVALID = ErrorCode.INVALID_TUNNEL_INFO


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


def _in_bits(member: str, bits: int) -> Change:
    """Accept a port by its last bits."""

    def fits(value: Any) -> bool:  # noqa: ANN401 - a JSON value
        return type(value) is int and not 0 <= value <= 65535 and 0 < value % 2**bits <= 65535

    return _accepted(member, fits, lambda value: value % 2**bits)


def _recoded(member: str, test: Test, code: ErrorCode = ErrorCode.UNKNOWN_MESSAGE_TYPE) -> Change:
    return refuses("tunnel_info", member, test, code)


def _refusing(
    test: Callable[[Attempt], object], code: ErrorCode = _INVALID, text: str = "not this one", *, first: bool = False
) -> Change:
    """Refuse valid tunnels for which `test` is true, before or after the other steps."""

    def check(attempt: Attempt) -> None:
        if test(attempt):
            raise Refused(code, text)

    return added(TunnelInfo, Step("refuses-good-ones", check), first=first)


def _is_second(attempt: Attempt) -> bool:
    return sum(attempt.connection.sent[kind] for kind in ("tunnel_response", "error")) % 2 == 1


_unique = partial(_refusing, text="the tunnel_id is in use", first=True)


def _used_elsewhere(attempt: Attempt, *, in_tenant: bool) -> bool:
    """Whether another connection, of any tenant or of the same, holds the tunnel_id."""
    return any(
        tunnel_request(attempt).tunnel_id in session.tunnels
        for session in attempt.relay.connections - {attempt.connection}
        if not in_tenant or (session.identity and session.identity.tenant == attempt.known.tenant)
    )


_last = notes()


def _another_tunnel(body: Body, exchange: AnswerContext) -> Body:
    """Send the tunnel_id that another connection requested last."""
    request, own = exchange.request, exchange.connection.number
    if not isinstance(request, TunnelInfo):
        return body
    last = _last(exchange.connection.relay)
    others = [name for number, name in last.items() if number != own]
    last[own] = request.tunnel_id
    return {**body, "tunnel_id": others[-1] if others and exchange.nth > 1 else request.tunnel_id}


def _whole_ports(understand: Understand, value: object) -> Message | Violation:
    """Accept integers only as ports."""
    if isinstance(value, dict) and value.get("type") == "tunnel_info":
        for member in ("local_port", "remote_port"):
            if isinstance(value.get(member), float):
                return Violation("CB-TUN-101", _INVALID, f"{member} must be an integer")
    return understand(value)


def _carrying(framer: type[Any]) -> type[Any]:
    """Return a framer that completes a tunnel_info by the last one of the connection."""

    class CarryingFramer(framer):  # type: ignore[misc]
        _last: Mapping[str, Any] = {}

        def next_message(self) -> RawMessage | None:
            frame: RawMessage | None = super().next_message()
            with contextlib.suppress(NotStrictJson):
                value = loads(frame.text) if frame is not None else None
                if isinstance(value, dict) and value.get("type") == "tunnel_info":
                    self._last = {**self._last, **value}
                    return RawMessage(json.dumps(self._last).encode())
            return frame

    return CarryingFramer


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
"""The changes of a tunnel_id, by the end of the deviation's id."""

CHANGES: dict[str, Change] = {
    "tunnel-members-carried-over": both(
        framed(_carrying(StreamFramer)), websocket_by(ServerProtocol, _carrying(WebSocketFramer))
    ),
    **{
        f"tunnel-id-{name}": answers("tunnel_response", mapped("tunnel_id", made))
        for name, made in _IDENTIFIERS.items()
    },
    "tunnel-refused": answers("tunnel_response", instead(type="error", code="invalid_tunnel_info", message="no")),
    "tunnel-every-second-unavailable": _refusing(_is_second, ErrorCode.SERVER_UNAVAILABLE),
    "tunnel-second-refused": _refusing(lambda attempt: attempt.connection.tunnels),
    "local-port-65535-refused": _refusing(lambda attempt: tunnel_request(attempt).local_port == 65535),
    "local-port-privileged-refused": _refusing(lambda attempt: tunnel_request(attempt).local_port < 1024),
    "tunnel-id-of-another-connection": answers("tunnel_response", _another_tunnel),
    "tunnel-before-auth": served_in(State.GREETED),
    "tunnel-before-hello": served_in(State.CONNECTED),
    "tunnel-before-auth-wrong-code": rule(
        State.GREETED, TunnelInfo, Refuse(ErrorCode.TENANT_NOT_FOUND, "CB-TUN-004", "authenticate first")
    ),
    "tunnel-id-object-accepted": _accepted("tunnel_id", of_type(dict), str),
    "local-port-string-accepted": _accepted("local_port", _is_digits, int),
    "local-port-true-accepted": _accepted("local_port", lambda value: value is True, 3389),
    "local-port-over-65535-accepted": _accepted("local_port", _TOO_HIGH, 3389),
    "local-port-fraction-accepted": _accepted("local_port", _FRACTION, int),
    "local-port-minus-one-accepted": _accepted("local_port", _number(lambda value: value == -1), 3389),
    "local-port-in-16-bits": _in_bits("local_port", 16),
    "remote-port-in-16-bits": _in_bits("remote_port", 16),
    "remote-port-in-32-bits": _in_bits("remote_port", 32),
    "remote-port-fraction-accepted": _accepted("remote_port", _FRACTION, int),
    "local-port-rounded-up": _accepted("local_port", _number(lambda value: 0 < value < 1), 1),
    "local-port-in-an-array-accepted": _accepted("local_port", of_type(list), 3389),
    "remote-host-number-accepted": _accepted("remote_host", of_type(int), str),
    "local-port-over-65535-wrong-code": _recoded("local_port", _TOO_HIGH),
    "remote-port-string-accepted": _accepted("remote_port", _is_digits, int),
    "remote-port-zero-accepted": _accepted("remote_port", _ZERO, 1),
    "remote-port-65536-accepted": _accepted("remote_port", _number(lambda value: value == 65536), 3389),
    "remote-port-zero-wrong-code": _recoded("remote_port", _ZERO),
    "local-port-zero-accepted": _accepted("local_port", _ZERO, 1),
    "tunnel-id-empty-accepted": both(
        _accepted("tunnel_id", lambda value: value == "", _NO_ID),
        answers("tunnel_response", mapped("tunnel_id", lambda name: "" if name == _NO_ID else name)),
    ),
    "remote-host-blank-accepted": _accepted(
        "remote_host", lambda value: isinstance(value, str) and not value.strip(), "blank"
    ),
    "ports-in-whole-digits": around("understand", _whole_ports),
    "tunnel-id-once-on-a-connection": _unique(lambda attempt: not new_tunnel(attempt)),
    "tunnel-id-once-in-a-tenant": _unique(partial(_used_elsewhere, in_tenant=True)),
    "tunnel-id-once-in-the-relay": _unique(partial(_used_elsewhere, in_tenant=False)),
    "tunnel-with-empty-tenant-as-tenant-not-found": _recoded(
        "tenant_id", lambda value: value == "", ErrorCode.TENANT_NOT_FOUND
    ),
}
