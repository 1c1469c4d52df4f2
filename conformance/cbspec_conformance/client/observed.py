"""What was observed of a client in one situation: its connections on the wire, its process and its output.

Times are in seconds since the situation began. The rules in `rules/` are pure functions of these records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cbspec_conformance.client.frames import ClientFrames
from cbspec_conformance.client.incoming import ClientMessage, Incoming


@dataclass(slots=True)
class Handshake:
    """The TLS handshake of a connection, as the relay saw it; a member is "" if nothing of the kind was seen.

    `failure` is the reason why it failed. `plain` holds the first bytes of a client that speaks no TLS.
    """

    done: bool = False
    version: str = ""
    cipher: str = ""
    server_name: str = ""
    alpn: str = ""
    client_certificate: str = ""
    resumed: bool = False
    failure: str = ""
    alert_sent: str = ""
    alert_received: str = ""
    plain: bytes = b""


@dataclass(slots=True)
class ClientConnection:
    """One connection of the client: the plain text in both directions, as it really arrived and went out.

    `ended` is the time of its end, `by` and `how` its cause.
    """

    number: int
    at: float
    handshake: Handshake = field(default_factory=Handshake)
    incoming: Incoming = field(default_factory=Incoming)
    outgoing: Incoming = field(default_factory=Incoming)
    ended: float | None = None
    by: str = ""
    how: str = ""

    @property
    def messages(self) -> list[ClientMessage]:
        """The client's messages."""
        return self.incoming.messages

    @property
    def deflated(self) -> bool:
        """Whether both ends agreed on permessage-deflate: the suite doesn't read the messages of such a connection."""
        heads = [each.frames.headers for each in (self.incoming, self.outgoing) if each.frames is not None]
        extensions = [head.get("sec-websocket-extensions", "") for head in heads]
        return len(extensions) == 2 and all("permessage-deflate" in each for each in extensions)

    def of(self, *types: str, since: float = 0.0) -> list[ClientMessage]:
        """Return the client's messages of some types after a time."""
        return [message for message in self.messages if message.type in types and message.at > since]

    def answered(self, type_: str) -> float | None:
        """Return when the relay first sent a message of a type, or None."""
        return next((message.at for message in self.outgoing.messages if message.type == type_), None)


@dataclass(slots=True)
class OutputLine:
    """A line of the client's output."""

    at: float
    stream: str
    text: str


@dataclass(slots=True)
class Exit:
    """The end of the client's process: its exit code, or the signal that ended it.

    `asked` is the time at which the judge asked it to stop (None: it ended of its own accord). `killed`: it had to be
    killed.
    """

    at: float
    code: int | None
    signal: str = ""
    asked: float | None = None
    killed: bool = False


@dataclass(slots=True)
class SeenStrike:
    """One strike of the situation's fault: on a connection, at a message."""

    at: float
    connection: int
    message: str


@dataclass(slots=True)
class Observation:
    """Everything that was observed in one situation.

    `watched` is the time at which the judge stopped to watch, and asked the process to end. `ports` are the local ports
    of the client's tunnels: whether each accepted connections at that time. `lag` is the longest delay of the judge's
    own event loop: a sign of an overloaded machine. `leaks` are the lines of output with a secret, redacted.
    """

    connections: list[ClientConnection] = field(default_factory=list)
    output: list[OutputLine] = field(default_factory=list)
    strikes: list[SeenStrike] = field(default_factory=list)
    exit: Exit | None = None
    watched: float = 0.0
    ports: dict[int, bool] = field(default_factory=dict)
    lag: float = 0.0
    leaks: list[OutputLine] = field(default_factory=list)
    acted: float | None = None

    @property
    def ended_itself(self) -> Exit | None:
        """The end of the process, if it ended of its own accord."""
        return self.exit if self.exit is not None and self.exit.asked is None else None

    @property
    def asked(self) -> float:
        """The time at which the judge asked the process to stop; infinity if it ended of its own accord."""
        return self.exit.asked if self.exit is not None and self.exit.asked is not None else float("inf")

    @property
    def websockets(self) -> list[ClientFrames]:
        """The client's frames on each connection that began with an upgrade request."""
        return [each.incoming.frames for each in self.connections if each.incoming.frames is not None]

    @property
    def struck(self) -> float | None:
        """The time at which the situation took effect: the first strike of its fault, or the judge's own action."""
        times = [strike.at for strike in self.strikes[:1]] + ([self.acted] if self.acted is not None else [])
        return min(times, default=None)

    def connection(self, number: int) -> ClientConnection | None:
        """Return a connection by its number."""
        return next((each for each in self.connections if each.number == number), None)

    def lines(self, since: float = 0.0, until: float = float("inf")) -> list[str]:
        """Return the lines of output between two times."""
        return [line.text for line in self.output if since <= line.at <= until]
