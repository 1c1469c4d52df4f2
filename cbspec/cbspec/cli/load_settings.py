"""What a load test is told, as it travels from the command to Locust's processes, and what follows from it."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Self

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Endpoint, Profile, load, resolve
from cbspec.profile.target import Transport
from cbspec.redact import mask
from cbspec_client import session as client_session
from cbspec_client.conversation import Blame, Exchanged, Onlooker
from cbspec_conformance.judging.onlooker import Received, look
from cbspec_conformance.record.frames import StrictWebSocket
from cbspec_conformance.target.contexts import context_for

VARIABLE: Final = "CBSPEC_LOAD"
"""The environment variable that holds the settings. They hold no token: each process makes its own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The command's options, as far as clients go by them; times in seconds.

    `address` and `profile_file` are empty where they aren't named, `tenants` where the profile's main one will do;
    `user_file` is a Python file with clients of somebody's own.
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

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings that `to_environment` put there."""
        told = json.loads(os.environ[VARIABLE])
        return cls(**{**told, "tenants": tuple(told["tenants"])})

    def to_environment(self) -> dict[str, str]:
        """Return the environment with the settings in it."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}

    def profile(self) -> Profile:
        """Return the relay's profile, completed. Raises ProfileError."""
        profile = load(self.profile_file) if self.profile_file else None
        found = resolve(profile, Endpoint.parse(self.address) if self.address else None)
        return replace(found, target=replace(found.target, transport=self.transport or found.target.transport))


def token_source(profile: Profile, tenants: Sequence[str]) -> Callable[[], tuple[str, str]]:
    """Return what gives each client a token and its tenant, of `tenants` in turn. Raises ProfileLacks where none can.

    ValueError and OSError where the profile's key can't serve.
    """
    issuer = Issuer(profile.tokens, time.time)
    for tenant in tenants:
        issuer.valid(tenant)
    turns = itertools.cycle(tenants)

    def give() -> tuple[str, str]:
        tenant = next(turns)
        return issuer.valid(tenant), tenant

    return give


def aim_facts(profile: Profile) -> dict[str, object]:
    """Return where the relay is and how it is reached, by the names that an `Aim` has for it."""
    target = profile.target
    assert target.address is not None  # noqa: S101 - a completed profile has one
    return {
        "host": target.address.host,
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
    """Return an onlooker that holds each exchange against the suite's invariants; what it says holds no token."""

    def watch(exchanged: Exchanged) -> list[Blame]:
        sent = exchanged.request.text if exchanged.request is not None else None
        received = [Received(answer.text, answer.binary, answer.faulty) for answer in exchanged.answers]
        found = look(
            sent, received, tenant=exchanged.tenant, secrets=tuple(s for s in secrets if s != exchanged.tenant)
        )
        return [Blame(breach.requirement, breach.expected, mask(breach.seen.encode())) for breach in found]

    return watch
