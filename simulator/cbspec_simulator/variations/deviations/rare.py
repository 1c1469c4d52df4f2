"""Ways to be wrong now and then only: what properties find when they try thoroughly, not what one case does.

They are kept apart from the catalogue, which a default run is to catch.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace

from cbspec.protocol.framing import Frame, StreamFramer
from cbspec.protocol.messages import TunnelInfo
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import Claims, InvalidToken
from cbspec_simulator.base.state import Attempt, Authority, Refused
from cbspec_simulator.base.steps import TENANT_TUNNELS
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import accepts, answers, check, part, put, silence, takes, turn
from cbspec_simulator.variations.deviations.kind import Deviation

_ONE_IN = 500
_PORTS = range(70_000, 71_000)
_LOST_BEHIND = 40
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
    """Say whether the connection is the second one that its tenant has open."""
    own = exchange.connection.identity
    theirs = [each for each in exchange.connection.relay.connections if each.identity is not None]
    return own is not None and sum(each.identity.tenant == own.tenant for each in theirs if each.identity) == 2


def _another(exchange: AnswerContext) -> str:
    session = exchange.connection
    own = session.identity.tenant.id if session.identity else ""
    return next(name for name in session.relay.tenants if name != own)


class _Losing(StreamFramer):
    """Loses a message of which a read ends behind a certain byte."""

    __slots__ = ("_lost",)

    def feed(self, data: bytes) -> None:
        lost = getattr(self, "_lost", False) or (
            len(data) == _LOST_BEHIND and data.startswith(b"{") and not self.pending and not data.endswith(b"}")
        )
        if not lost:
            super().feed(data)
            return
        _, end, rest = data.partition(b"\n")
        self._lost = not end
        super().feed(rest)


def _losing(limits: LimitSettings) -> StreamFramer:
    return _Losing(max_message=limits.max_message, max_depth=limits.max_depth)


def _misread_pairs(behaviour: Behaviour) -> Behaviour:
    def decode(frame: Frame, max_depth: int) -> object:
        text = _PAIR.sub(lambda pair: pair[0] if int(pair[2], 16) % 32 else rb"\ufffd", frame.text)
        return behaviour.decode(frame._replace(text=text), max_depth)

    return replace(behaviour, decode=decode)


def _partly_verified(authority: Authority, token: str, now: float) -> Claims:
    """Verify a token, but for four bytes of its signature."""
    try:
        return authority.verifier.verify(token, now)
    except InvalidToken:
        try:
            parts = Compact.split(token)
        except ValueError:
            raise InvalidToken("it isn't a JWT") from None
        right = authority.key.sign(parts.signing_input)
        shown = bytearray(parts.signature)
        shown[_UNCHECKED] = right[_UNCHECKED]
        if bytes(shown) != right:
            raise
        return authority.verifier.verify(str(replace(parts, signature=right)), now)


def _uncounted_after_a_stranger(behaviour: Behaviour) -> Behaviour:
    """Let the tunnel pass uncounted that is asked for right behind one of another tenant's."""
    behind: set[int] = set()

    def refused(attempt: Attempt, refusal: Refused) -> None:
        behaviour.refused(attempt, refusal)
        request, identity = attempt.request, attempt.identity
        if isinstance(request, TunnelInfo) and identity is not None and request.tenant_id != identity.tenant.id:
            behind.add(attempt.connection.number)

    def counted(attempt: Attempt) -> None:
        if attempt.connection.number in behind:
            behind.discard(attempt.connection.number)
        else:
            TENANT_TUNNELS(attempt)

    return check(TENANT_TUNNELS.name, counted)(replace(behaviour, refused=refused))


def _lost_after_refusals(behaviour: Behaviour) -> Behaviour:
    """Lose the heartbeat behind the fourth refusal of a connection."""
    refusals: Counter[int] = Counter()

    def refused(attempt: Attempt, refusal: Refused) -> None:
        behaviour.refused(attempt, refusal)
        refusals[attempt.connection.number] += 1

    def is_due(exchange: AnswerContext) -> bool:
        due = refusals[exchange.connection.number] == _FORBEARANCE
        refusals[exchange.connection.number] += due
        return due

    return answers("heartbeat_response", silence, is_due)(replace(behaviour, refused=refused))


RARE = {
    deviation.id: deviation
    for deviation in (
        Deviation(
            "rare-tunnel-id",
            "CB-TUN-002",
            f"One tunnel_id in {_ONE_IN} comes back in capitals and with a hyphen behind it.",
            answers("tunnel_response", turn("tunnel_id", lambda name: f"{name.upper()}-"), _is_chosen),
        ),
        Deviation(
            "rare-seventh-heartbeat",
            "CB-HBT-001",
            "The seventh heartbeat of a connection stays unanswered.",
            answers("heartbeat_response", silence, lambda exchange: exchange.nth == 7),
        ),
        Deviation(
            "rare-second-connection",
            "CB-AUT-003",
            "The second connection that a tenant has open is told that it acts for another tenant.",
            answers("auth_response", put("tenant_id", _another), _is_second),
        ),
        Deviation(
            "rare-ports",
            "CB-TUN-010",
            f"A tunnel_info is accepted although its remote_port is from {_PORTS.start} to {_PORTS.stop - 1}.",
            accepts("tunnel_info", "remote_port", lambda port: type(port) is int and port in _PORTS, 3389),
        ),
        Deviation(
            "rare-escape",
            "CB-MSG-008",
            "Of the characters that are written as two escapes one in 32 is not understood.",
            _misread_pairs,
        ),
        Deviation(
            "rare-cut",
            "CB-MSG-009",
            f"A message is lost of which the first read ends behind byte {_LOST_BEHIND}.",
            part(stream=_losing),
        ),
        Deviation(
            "rare-signature",
            "CB-AUT-008",
            "Four bytes of a token's signature are not looked at.",
            part(verify=_partly_verified),
        ),
        Deviation(
            "rare-colons",
            "CB-MSG-005",
            "Two colons are taken for one.",
            takes(lambda text: re.sub(rb":[ \t]*:", b":", text)),
        ),
        Deviation(
            "rare-uncounted-tunnel",
            "CB-LIM-002",
            "A tunnel that is asked for right behind another tenant's is not counted.",
            _uncounted_after_a_stranger,
        ),
        Deviation(
            "rare-heartbeat-after-refusals",
            "CB-HBT-001",
            "Behind the fourth refusal of a connection a heartbeat stays unanswered.",
            _lost_after_refusals,
        ),
    )
}
"""Every rare deviation by its id."""
