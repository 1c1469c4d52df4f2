"""The implementation that a run judged, as its reports show it: a relay, or a client."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cbspec.catalogue.requirements import JudgedRole
from cbspec.profile.profile import Profile
from cbspec_conformance.record.transcript import Opened, Transcript
from cbspec_conformance.target.clock import in_words
from cbspec_conformance.target.facts import Facts


class JudgedSubject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A relay or a client under test.

    `address` is the relay's address, or the client's command; `name` shows it with the transports. `tls` and `cipher`
    are those of the preflight's first connection, `round_trip` is the fastest answer in seconds. `features` are those
    of hello. `notes` are sentences about what was found before the first case.
    """

    role: JudgedRole
    address: str
    name: str
    transport: str
    websocket: bool = False
    tls: str = ""
    cipher: str = ""
    round_trip: float = 0.0
    features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The beginning of the requirements' ids."""
        return "CB" if self.role is JudgedRole.RELAY else "CC"


def judged_relay(profile: Profile, facts: Facts, preflight: Transcript | None = None) -> JudgedSubject:
    """Return the relay of a profile with the facts of the preflight, and those of its first connection."""
    address = str(profile.target.address)
    transports = facts.transport + (", WebSocket too" if facts.websocket and facts.transport == "tcp" else "")
    at = f" at {facts.address}" if facts.address else ""
    records = preflight.records if preflight is not None else []
    opened = next((record for record in records if isinstance(record, Opened) and record.tls), None)
    return JudgedSubject(
        JudgedRole.RELAY,
        address,
        f"{address}{at} ({transports})",
        facts.transport,
        facts.websocket,
        opened.tls if opened else "",
        opened.cipher if opened else "",
        facts.latency.trip,
        tuple(sorted(facts.features)),
        tuple(_notes(facts)),
    )


def judged_client(command: str, transport: str, notes: tuple[str, ...]) -> JudgedSubject:
    """Return the client that a command starts."""
    return JudgedSubject(JudgedRole.CLIENT, command, f"{command} ({transport})", transport, notes=notes)


def _notes(facts: Facts) -> Iterator[str]:
    for reason in dict.fromkeys(filter(None, (facts.tls, facts.hello, facts.auth, facts.tunnel))):
        yield f"Some cases have no verdict: {reason}."
    if facts.clock:
        yield f"The relay's clock is {in_words(facts.clock)}{'; tokens are made for it' if facts.shift else ''}."
