"""The machine that the specification's state table describes, over the abstract inputs.

The page leaves some outputs open: the code of a refusal before hello, say. There the reference has the natural reading,
which is the one of the table; `judging` decides whether another output breaks a requirement.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Heartbeat, Hello, Request, TunnelInfo
from cbspec.protocol.state import TABLE, Refuse, State
from cbspec_conformance.learning import alphabet as inputs
from cbspec_conformance.learning.alphabet import Alphabet, Letter
from cbspec_conformance.machines.machine import CONNECTED, NONE_DUE, Machine, machine_of
from cbspec_conformance.oracles.model import Ask

_KINDS: Final[dict[Ask, type[Request]]] = {
    Ask.HELLO: Hello,
    Ask.AUTH: Auth,
    Ask.BAD_AUTH: Auth,
    Ask.TUNNEL: TunnelInfo,
    Ask.BAD_TUNNEL: TunnelInfo,
    Ask.FOREIGN_TUNNEL: TunnelInfo,
    Ask.HEARTBEAT: Heartbeat,
}
"""The row of the table for each request."""


class Place(NamedTuple):
    """A state of the reference: the table's state, the tenant of the connection, and its tunnels up to a limit.

    `named` says that one of these has the connection's own tunnel_id, and takes no more room if it is asked for again.
    """

    state: State = State.CONNECTED
    tenant: str = ""
    tunnels: int = 0
    named: bool = False


def reference(alphabet: Alphabet) -> Machine:
    """Return the specification's machine, with states named by their progress."""
    limits = {each.id: each.tunnel_limit for each in alphabet.tenants.values()}

    def step(place: Place, name: str) -> tuple[str, Place]:
        return _step(place, alphabet.letters[name], limits)

    names = {each.id: name for name, each in alphabet.tenants.items()}
    return machine_of(alphabet.names, Place(), step, "the specification", lambda place: _name(place, names))


def _name(place: Place, names: dict[str, str]) -> str:
    match place.state:
        case State.CONNECTED:
            return "new"
        case State.AUTHENTICATED:
            held = f", {place.tunnels} tunnel{'s' * (place.tunnels > 1)}" if place.tunnels else ""
            return f"authenticated as {names[place.tenant]}{held}{', same id' * place.named}"
    return str(place.state.value)


def _step(place: Place, letter: Letter, limits: dict[str, int | None]) -> tuple[str, Place]:
    """Return the output and the next place."""
    if letter in (inputs.RECONNECT, inputs.RESUME):
        return CONNECTED, Place()
    if letter is inputs.KEY_UPDATE:
        return NONE_DUE, place
    mistake = _INVALID.get(letter.name)
    if mistake is not None:
        return f"error {mistake}", place
    if letter.ask is None or letter.ask is Ask.UNKNOWN:
        return f"error {ErrorCode.UNKNOWN_MESSAGE_TYPE}", place
    rule = TABLE[place.state, _KINDS[letter.ask]]
    if isinstance(rule, Refuse):
        return f"error {rule.code}", place
    if letter.ask is Ask.BAD_AUTH:
        return f"error {_TENANT if 'tenant' in letter.name else ErrorCode.INVALID_TOKEN}", place
    tenant = letter.tenant or place.tenant
    if letter.ask in (Ask.TUNNEL, Ask.FOREIGN_TUNNEL):
        if tenant != place.tenant:
            return f"error {_TENANT}", place
        limit, own = limits[tenant], letter is inputs.SAME_TUNNEL
        if limit is None or (own and place.named):
            return rule.answer.type, place
        if place.tunnels >= limit:
            return f"error {ErrorCode.TENANT_LIMIT_EXCEEDED}", place
        return rule.answer.type, place._replace(tunnels=place.tunnels + 1, named=place.named or own)
    return rule.answer.type, place._replace(state=rule.then, tenant=tenant)


_TENANT: Final = ErrorCode.TENANT_NOT_FOUND
_INVALID: Final = {
    inputs.BAD_HELLO.name: ErrorCode.UNKNOWN_MESSAGE_TYPE,
    inputs.INVALID_TUNNEL.name: ErrorCode.INVALID_TUNNEL_INFO,
    "auth, no token": ErrorCode.INVALID_TOKEN,
}
"""The codes for messages whose members are invalid: that shows before the order of messages is looked at."""
