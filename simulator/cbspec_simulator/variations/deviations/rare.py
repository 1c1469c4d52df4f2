"""Rare deviations: properties find them in a thorough run, and single cases don't.

They are separate from the catalogue, because a default run must find every deviation of that.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace

from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import TunnelInfo
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import Claims, TokenRejected
from cbspec_simulator.base.state import Attempt, Authority, Refused
from cbspec_simulator.base.steps import TENANT_TUNNELS
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour
from cbspec_simulator.variations.answers import answers, mapped, put, unanswered
from cbspec_simulator.variations.parts import Change, framed, part
from cbspec_simulator.variations.requests import accepts, accepts_repaired, misreads
from cbspec_simulator.variations.steps import check

_ONE_IN = 500
_PORTS = range(70_000, 71_000)
_LOST_AFTER = 40
_UNCHECKED = slice(8, 12)
_PAIR = re.compile(rb"(?i)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")
_FORBEARANCE = 4


def _is_chosen(exchange: AnswerContext) -> bool:
    request = exchange.request
    if not isinstance(request, TunnelInfo):
        return False
    digest = hashlib.sha256(request.tunnel_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") % _ONE_IN == 0


def _is_second(exchange: AnswerContext) -> bool:
    """Whether the connection is the second open one of its tenant."""
    own = exchange.connection.identity
    theirs = [each for each in exchange.connection.relay.connections if each.identity is not None]
    return own is not None and sum(each.identity.tenant == own.tenant for each in theirs if each.identity) == 2


def _another(exchange: AnswerContext) -> str:
    session = exchange.connection
    own = session.identity.tenant.id if session.identity else ""
    return next(name for name in session.relay.tenants if name != own)


class _LosingFramer(StreamFramer):
    """Loses a message if a read ends after a certain byte of it."""

    _lost = False

    def feed(self, data: bytes) -> None:
        lost = self._lost or (
            len(data) == _LOST_AFTER and data.startswith(b"{") and not self.pending and not data.endswith(b"}")
        )
        if not lost:
            super().feed(data)
            return
        _, end, rest = data.partition(b"\n")
        self._lost = not end
        super().feed(rest)


def _misread_pairs(text: bytes) -> bytes:
    return _PAIR.sub(lambda pair: pair[0] if int(pair[2], 16) % 32 else rb"\ufffd", text)


def _partly_verified(authority: Authority, token: str, now: float) -> Claims:
    """Verify a token except for four bytes of its signature."""
    try:
        return authority.verifier.verify(token, now)
    except TokenRejected:
        try:
            parts = CompactJws.split(token)
        except ValueError:
            raise TokenRejected("it isn't a JWT") from None
        right = authority.key.sign(parts.signing_input)
        shown = bytearray(parts.signature)
        shown[_UNCHECKED] = right[_UNCHECKED]
        if bytes(shown) != right:
            raise
        return authority.verifier.verify(str(replace(parts, signature=right)), now)


def _uncounted_after_a_stranger(behaviour: Behaviour) -> Behaviour:
    """Don't count the tunnel that is requested right after one for another tenant."""
    uncounted: set[int] = set()

    def refused(attempt: Attempt, refusal: Refused) -> None:
        behaviour.refused(attempt, refusal)
        request, identity = attempt.request, attempt.identity
        if isinstance(request, TunnelInfo) and identity is not None and request.tenant_id != identity.tenant.id:
            uncounted.add(attempt.connection.number)

    def counted(attempt: Attempt) -> None:
        if attempt.connection.number in uncounted:
            uncounted.discard(attempt.connection.number)
        else:
            TENANT_TUNNELS(attempt)

    return check(TENANT_TUNNELS.name, counted)(replace(behaviour, refused=refused))


def _lost_after_refusals(behaviour: Behaviour) -> Behaviour:
    """Don't answer the heartbeat after the fourth refusal of a connection."""
    refusals: Counter[int] = Counter()

    def refused(attempt: Attempt, refusal: Refused) -> None:
        behaviour.refused(attempt, refusal)
        refusals[attempt.connection.number] += 1

    def is_due(exchange: AnswerContext) -> bool:
        due = refusals[exchange.connection.number] == _FORBEARANCE
        refusals[exchange.connection.number] += due
        return due

    return unanswered("heartbeat_response", is_due)(replace(behaviour, refused=refused))


CHANGES: dict[str, Change] = {
    "rare-tunnel-id": answers("tunnel_response", mapped("tunnel_id", lambda name: f"{name.upper()}-"), _is_chosen),
    "rare-seventh-heartbeat": unanswered("heartbeat_response", lambda exchange: exchange.nth == 7),
    "rare-heartbeat-after-refusals": _lost_after_refusals,
    "rare-second-connection": answers("auth_response", put("tenant_id", _another), _is_second),
    "rare-ports": accepts("tunnel_info", "remote_port", lambda port: type(port) is int and port in _PORTS, 3389),
    "rare-escape": misreads(_misread_pairs),
    "rare-cut": framed(_LosingFramer),
    "rare-signature": part(verify=_partly_verified),
    "rare-colons": accepts_repaired(lambda text: re.sub(rb":[ \t]*:", b":", text)),
    "rare-uncounted-tunnel": _uncounted_after_a_stranger,
}
