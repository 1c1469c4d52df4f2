"""Rare deviations: properties find them in a thorough run, and single cases don't.

They are separate from the catalogue, because a default run must find every deviation of that.
"""

from __future__ import annotations

import hashlib
import re

from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import TENANT_TUNNELS, Check, IoRequest
from cbspec_simulator.relay.behaviour import AnswerContext
from cbspec_simulator.variations.answers import answers, mapped, put, unanswered
from cbspec_simulator.variations.changes.order import other_tenant
from cbspec_simulator.variations.changes.tokens import signature_where
from cbspec_simulator.variations.parts import Change, both, framed, notes, part
from cbspec_simulator.variations.requests import accepts, accepts_repaired, misreads
from cbspec_simulator.variations.steps import checking

_ONE_IN = 500
_PORTS = range(70_000, 71_000)
_LOST_AFTER = 40
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
    theirs = [each.identity.tenant for each in exchange.connection.relay.connections if each.identity is not None]
    return own is not None and theirs.count(own.tenant) == 2


class _LosingFramer(StreamFramer):
    """Loses a message if a read ends after a certain byte of it."""

    _lost = False

    def feed(self, data: bytes) -> None:
        cut = len(data) == _LOST_AFTER and data.startswith(b"{") and not data.endswith(b"}")
        if self._lost or (cut and not self.pending):
            _, end, data = data.partition(b"\n")
            self._lost = not end
        super().feed(data)


_noted = notes()


def _stranger_noted(attempt: Attempt, _: Refused) -> None:
    request, identity = attempt.request, attempt.identity
    if isinstance(request, TunnelInfo) and identity is not None and request.tenant_id != identity.tenant.id:
        _noted(attempt.relay)["uncounted", attempt.connection.number] = True


def _not_after_a_stranger(count: Check, attempt: Attempt) -> IoRequest | None:
    """Don't count the tunnel that is requested right after one for another tenant."""
    uncounted = _noted(attempt.relay).pop(("uncounted", attempt.connection.number), False)
    return None if uncounted else count(attempt)


def _refusal_noted(attempt: Attempt, _: Refused) -> None:
    noted, key = _noted(attempt.relay), ("refusals", attempt.connection.number)
    noted[key] = noted.get(key, 0) + 1


def _is_after_refusals(exchange: AnswerContext) -> bool:
    """Whether it is the first answer after the fourth refusal of a connection."""
    noted, key = _noted(exchange.connection.relay), ("refusals", exchange.connection.number)
    due = noted.get(key) == _FORBEARANCE
    noted[key] = noted.get(key, 0) + due
    return due


CHANGES: dict[str, Change] = {
    "rare-tunnel-id": answers("tunnel_response", mapped("tunnel_id", lambda name: f"{name.upper()}-"), _is_chosen),
    "rare-seventh-heartbeat": unanswered("heartbeat_response", lambda exchange: exchange.nth == 7),
    "rare-heartbeat-after-refusals": both(
        part(refused=_refusal_noted), unanswered("heartbeat_response", _is_after_refusals)
    ),
    "rare-second-connection": answers("auth_response", put("tenant_id", other_tenant), _is_second),
    "rare-ports": accepts("tunnel_info", "remote_port", lambda port: type(port) is int and port in _PORTS, 3389),
    "rare-escape": misreads(
        lambda text: _PAIR.sub(lambda pair: pair[0] if int(pair[2], 16) % 32 else rb"\ufffd", text)
    ),
    "rare-cut": framed(_LosingFramer),
    "rare-signature": signature_where(lambda right, seen: (right[:8], right[12:]) == (seen[:8], seen[12:])),
    "rare-colons": accepts_repaired(lambda text: re.sub(rb":[ \t]*:", b":", text)),
    "rare-uncounted-tunnel": both(part(refused=_stranger_noted), checking(TENANT_TUNNELS.name, _not_after_a_stranger)),
}
