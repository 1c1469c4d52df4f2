"""Deviations that show only after certain earlier messages of a connection, or of those whose TLS session it resumes.

A history is a text with a character for each answer, in their order: h, a, t and b for a served hello, auth,
tunnel_info and heartbeat, v for a hello of another version. H, A and T stand for a refused or invalid one, F for a
tunnel_info of another tenant, E for a message before hello, G for a tunnel_info or heartbeat before auth, U for an
unknown type, M for input that is no message, and R for the resumption of the session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from cbspec.protocol.messages import Auth, AuthResponse, Hello, TunnelInfo
from cbspec.protocol.state import Serve, State
from cbspec.protocol.tls import TlsLayer
from cbspec.tokens.jws import claimed
from cbspec_simulator.base.state import ConnectionState, Identity
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.parts import Change, around, both, layered, notes, part
from cbspec_simulator.variations.steps import named_tenant, rule

_SERVED: Final = {"hello_response": "h", "auth_response": "a", "tunnel_response": "t", "heartbeat_response": "b"}
_REFUSED: Final = {"CB-HEL-007": "E", "CB-TUN-004": "G", "HEL": "H", "AUT": "A", "TUN": "T", "TEN": "T", "UNK": "U"}


def after(pattern: str, effect: str, *arguments: str) -> Change:
    """Apply an effect if a connection's history so far matches an expression.

    An effect on answers applies to those after the match, an effect on the state of the connection at the match.
    """
    found, noted, reading = re.compile(pattern), notes(), [b"", b""]
    edit, move = _EDITS.get(effect), _MOVES.get(effect)
    assert edit or move, effect  # noqa: S101 - a mistake in the catalogue

    def edited(before: Callable[..., list[Body]], body: Body, exchange: AnswerContext) -> list[Body]:
        histories, connection = noted(exchange.connection.relay), exchange.connection
        earlier, own = reading
        history = histories.get(connection.number)
        if history is None:
            history = f"{histories[earlier]}R" if earlier and earlier in histories else ""
        if edit is not None and found.search(history):
            body = edit(body, exchange, *arguments)
        histories[connection.number] = histories[own] = history = history + _letter(body, exchange)
        if move is not None and found.search(history):
            move(connection)
        return before(body, exchange)

    def chained(behaviour: Behaviour) -> Behaviour:
        class ChainedLayer(TlsLayer):
            _earlier = b""

            def receive_data(self, data: bytes) -> bytes:
                plain = super().receive_data(data)
                session = self.ssl_object.session
                now = session.id if session is not None else b""
                if not self.established:  # the session of a ticket is replaced at the end of the handshake
                    self._earlier = now if self.ssl_object.session_reused else b""
                reading[:] = [self._earlier, now]
                return plain

        return layered(ChainedLayer)(behaviour)

    served = both(
        part(identity_before_auth=named_tenant),
        rule(State.AUTHENTICATED, Auth, Serve(AuthResponse, State.AUTHENTICATED, "CB-AUT-001")),
    )
    parts = [around("answers", edited), *([served] if effect == "authenticates" else [])]
    return both(*parts, *([chained] if "R" in pattern else []))


def _letter(body: Body, exchange: AnswerContext) -> str:
    request, requirement = exchange.request, exchange.requirement
    if body["type"] != "error":
        other = isinstance(request, Hello) and request.version != "1.0"
        return "v" if other else _SERVED[body["type"]]
    if isinstance(request, TunnelInfo):
        return "F" if body["code"] == "tenant_not_found" else "T"
    return _REFUSED.get(requirement) or _REFUSED.get(requirement[3:6], "M")


def _opens(body: Body, exchange: AnswerContext) -> Body:
    """Open the tunnel of another tenant."""
    request = exchange.request
    if isinstance(request, TunnelInfo) and body.get("code") == "tenant_not_found":
        return {"type": "tunnel_response", "status": "ok", "tunnel_id": request.tunnel_id}
    return body


def _accepts(body: Body, exchange: AnswerContext, text: str) -> Body:
    """Accept an auth whose refusal contains a text."""
    connection = exchange.connection
    if body["type"] != "error" or exchange.requirement != "CB-AUT-001" or text not in body["message"]:
        return body
    tenant, subject = claimed(connection.shown) if isinstance(connection.shown, str) else connection.shown
    if tenant not in connection.relay.tenants:
        return body
    connection.identity = Identity(subject, connection.relay.tenants[tenant])
    connection.protocol.state = State.AUTHENTICATED
    return {"type": "auth_response", "status": "ok", "client_id": subject, "tenant_id": tenant}


def _answers_with(body: Body, exchange: AnswerContext, letter: str, code: str) -> Body:
    """Answer a message that a letter stands for with an error."""
    meant = _letter(body, exchange) == letter
    return {"type": "error", "code": code, "message": "not in this state"} if meant else body


_EDITS: Final[Mapping[str, Callable[..., Body]]] = {"opens": _opens, "accepts": _accepts, "answers-with": _answers_with}


def _authenticates(connection: ConnectionState) -> None:
    connection.protocol.state = State.AUTHENTICATED


def _greets(connection: ConnectionState) -> None:
    connection.protocol.state = State.GREETED


def _logs_out(connection: ConnectionState) -> None:
    connection.identity, connection.protocol.state = None, State.GREETED


_MOVES: Final[Mapping[str, Callable[[ConnectionState], Any]]] = {
    "authenticates": _authenticates,
    "greets": _greets,
    "logs-out": _logs_out,
}
