"""The preflight's results about the relay, as plain data, and the preconditions of cases that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NeverWorks, NotExercised
from cbspec_conformance.probe.tempo import Latency

ODD_LETTERS = '/é"\\☃😀'


@dataclass(frozen=True, slots=True)
class Facts:
    """The results of the preflight.

    `tls`, `hello`, `auth`, `tunnel` and `heartbeat` are "" if they work, else the reason. `transport` is the
    transport of the cases; `websocket` says whether the relay answers an opening handshake with 101; `features` are
    those of its hello_response; `rejected` says that it refused every token of the suite; `odd_identifiers` whether
    a tunnel_id may hold quotes and letters beyond ASCII; `fence` is the fence after auth: "heartbeat", or "unknown"
    if heartbeats draw no answer or several; `unanswered` are the kinds of answers that were awaited in vain; `latency`
    was measured; `room` is that of the tenants' limits, by name, before the first case; `pipelines` says that hello
    and auth in one flight, and two tunnel_infos, are answered in order; `resumes` that TLS sessions can be resumed
    before them; `jobs` is the number of cases to run at once, and `connections` that of the connections that the relay
    serves at once (None: as many as were tried); `address` is the one that answered, if its host name has several;
    `clock` are the seconds by which the relay's clock is ahead (0: not notable or unknown), and `shift` those by which
    the times of tokens are moved for it.
    """

    transport: str = "tcp"
    websocket: bool = False
    tls: str = ""
    hello: str = ""
    features: tuple[str, ...] = ()
    auth: str = ""
    rejected: bool = False
    tunnel: str = ""
    heartbeat: str = ""
    odd_identifiers: bool = True
    fence: str = "heartbeat"
    unanswered: tuple[str, ...] = ()
    latency: Latency = field(default_factory=Latency)
    pipelines: bool = False
    resumes: bool = False
    jobs: int = 1
    connections: int | None = None
    clock: float = 0.0
    shift: float = 0.0
    room: dict[str, int] = field(default_factory=dict)
    address: str = ""

    @property
    def odd_letters(self) -> str:
        """Letters that need escaping, for a tunnel_id; none if the relay accepts no such identifiers."""
        return ODD_LETTERS if self.odd_identifiers else ""

    def bound(self, profile: Profile) -> int | None:
        """Return the most connections that the suite may have open at once, by the profile and by what was found."""
        bounds = [bound for bound in (profile.target.connections_at_once, self.connections) if bound is not None]
        return min(bounds, default=None)

    def why_not(self, request: str) -> str:
        """Return the reason why this relay never serves a type of request, or ""."""
        reasons = {"hello": self.hello, "auth": self.auth, "tunnel_info": self.tunnel, "heartbeat": self.heartbeat}
        return reasons.get(request, "")


class Preconditions:
    """A case's needs of the profile and of the relay; the reason for a skip names the profile's key."""

    def __init__(self, profile: Profile, facts: Facts) -> None:
        self._profile = profile
        self._facts = facts

    @property
    def offers_tenancy(self) -> bool:
        """Whether the relay offers multi_tenancy."""
        declared = self._profile.target.multi_tenancy
        return "multi_tenancy" in self._facts.features if declared is None else declared

    def served(self, request: str) -> None:
        """Raise Inconclusive if the relay never serves a type of request."""
        if reason := self._facts.why_not(request):
            raise NeverWorks(f"{request} is never served on this relay: {reason}")

    def tenancy(self) -> None:
        """Raise NotExercised unless the relay offers multi_tenancy."""
        if not self.offers_tenancy:
            raise NotExercised("the relay doesn't offer multi_tenancy (set target.multi_tenancy = true if it does)")

    def websocket(self) -> None:
        """Raise NotExercised unless the relay opens WebSockets."""
        if not self._facts.websocket:
            raise NotExercised("the relay opens no WebSocket (target.transport, target.websocket_path)")

    def stream(self) -> None:
        """Raise NotExercised unless the cases use a plain stream of messages."""
        if self._facts.transport != "tcp":
            raise NotExercised("the cases use WebSocket (target.transport)")
