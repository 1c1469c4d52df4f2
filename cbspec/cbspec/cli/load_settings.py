"""Settings of a load test: how the command passes them to the processes of Locust, and values derived from them."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

import msgspec

from cbspec.options import CA, relay_profile
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Endpoint, Profile
from cbspec.profile.target import Transport
from cbspec.redact import redact_message
from cbspec_client import session as client_session
from cbspec_client.conversation import Blame, Exchanged, Onlooker
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.frames import StrictWebSocket
from cbspec_conformance.record.transcript import Direction, Message
from cbspec_conformance.target.connector import context_for

VARIABLE: Final = "CBSPEC_LOAD"
"""Environment variable with the settings. They contain no token: each process mints its own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that the clients use; times are in seconds.

    Empty strings stand for absent options, empty `tenants` for the main tenant of the profile. `user_file` is a Python
    file with subclasses of RelayUser; `host_address` is the address to use of those that the relay's host name has.
    """

    address: str
    profile_file: str
    transport: Transport | None
    tenants: tuple[str, ...]
    hold: float
    pause: float
    timeout: float
    again: bool
    user_file: str
    host_address: str = ""
    ca: str = ""
    token_file: str = ""

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings in the variable."""
        return msgspec.json.decode(os.environ[VARIABLE], type=cls)

    def to_environment(self) -> dict[str, str]:
        """Return the environment of this process with the variable added."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}

    def profile(self) -> Profile:
        """Return the completed profile of the relay. Raises ProfileError."""
        found = relay_profile(
            Endpoint.parse(self.address) if self.address else None,
            Path(self.profile_file) if self.profile_file else None,
            CA.read(self.ca) if self.ca else None,
            Path(self.token_file) if self.token_file else None,
        )
        return replace(found, target=replace(found.target, transport=self.transport or found.target.transport))


def token_source(profile: Profile, tenants: Sequence[str]) -> Callable[[], tuple[str, str]]:
    """Return a function that returns a new token and its tenant, for each of `tenants` in turn.

    Raises ProfileLacks if the profile has no key, ValueError or OSError if its key is unusable.
    """
    issuer = Issuer(profile.tokens, time.time)
    for tenant in tenants:
        issuer.valid(tenant)
    turns = itertools.cycle(tenants)

    def next_token() -> tuple[str, str]:
        tenant = next(turns)
        return issuer.valid(tenant), tenant

    return next_token


def aim_facts(profile: Profile, host_address: str = "") -> dict[str, object]:
    """Return the arguments of `Aim` that follow from the profile; `host_address` replaces its host name."""
    target = profile.target
    assert target.address is not None  # noqa: S101 - a completed profile has one
    return {
        "host": host_address or target.address.host,
        "port": target.address.port,
        "context": context_for(profile.tls),
        "server_name": target.server_name or "",
        "transport": client_session.Transport(target.transport),
        "path": target.websocket_path,
        "websocket": StrictWebSocket,
        "sources": target.source_addresses,
        "tunnel_to": (profile.remote.reachable.host, profile.remote.reachable.port),
    }


def invariants(secrets: tuple[str, ...]) -> Onlooker:
    """Return an observer that checks each exchange against the invariants of the suite; it redacts tokens."""

    def watch(exchanged: Exchanged) -> list[Blame]:
        request = _message(exchanged.request) if exchanged.request is not None else None
        unsent = tuple(secret for secret in secrets if secret != exchanged.tenant)
        exchange = Exchange(request, tuple(map(_message, exchanged.answers)), tenant=exchanged.tenant, secrets=unsent)
        found = check(exchange)
        return [Blame(breach.requirement, breach.expected, redact_message(breach.seen.encode())) for breach in found]

    return watch


def _message(passed: client_session.Passed) -> Message:
    direction = Direction.SENT if passed.sent else Direction.RECEIVED
    decoded = decode(passed.text)
    return Message(0.0, 0, direction, passed.text, decoded, binary=passed.binary, padded=passed.faulty)
