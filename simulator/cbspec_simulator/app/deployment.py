"""A relay with further relays, one for each condition that clients can't cause."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from cbspec.profile.target import Action, Condition, Endpoint, HttpCall, Profile
from cbspec.profile.writing import dump
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, ConfigError, ControlSettings, Listen, MetricsSettings

_LIMIT = 3
_LOOPBACK = "127.0.0.1"

CONDITIONS: dict[str, dict[str, Any]] = {
    "buffer_pool": {"buffer_pool": _LIMIT},
    "connection_limit": {"connection_limit": _LIMIT},
    "transfer_failed": {"probe": True},
}
"""The settings that cause a condition, by its name in the profile; the controls make the main relay unavailable."""


class Deployment:
    """The main relay and one relay for each condition, for the duration of an `async with`.

    They share identity, tenants and behaviour, but no counters. The profile also names an unreachable remote end: a
    port that is bound, but not listened on.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None, *, transcript: Path | None = None) -> None:
        self.main = Simulator(_observed(config), behaviour=behaviour, transcript=transcript)
        self.conditions = {
            name: Simulator(_with_condition(config, parts), behaviour=behaviour) for name, parts in CONDITIONS.items()
        }
        self._stack = contextlib.AsyncExitStack()
        self._bound = socket.socket()

    async def __aenter__(self) -> Self:
        try:
            self._stack.callback(self._bound.close)
            self._bound.bind((_LOOPBACK, 0))
            for simulator in (self.main, *self.conditions.values()):
                await self._stack.enter_async_context(simulator)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def drain(self, grace: float) -> None:
        """Refuse new work, and wait at most `grace` seconds for the open connections of all relays to end."""
        await asyncio.gather(*(simulator.drain(grace) for simulator in (self.main, *self.conditions.values())))

    def begin(self) -> None:
        """Count the times of faults and timelines from now on."""
        for simulator in (self.main, *self.conditions.values()):
            simulator.begin()

    def reload(self, config: Config) -> None:
        """Apply another configuration without closing a connection; raises as `Simulator.reload` does."""
        self.main.reload(_observed(config))
        for name, simulator in self.conditions.items():
            simulator.reload(_with_condition(config, CONDITIONS[name]))

    def profile(self) -> Profile:
        """Return the profile with which the conformance suite tests every requirement."""
        main = self.main.profile()
        unreachable = Endpoint(*self._bound.getsockname())
        return replace(
            main,
            remote=replace(main.remote, unreachable=unreachable),
            conditions={
                **{
                    name: Condition(
                        simulator.endpoint, limit=CONDITIONS[name].get(name), dialled=name == "transfer_failed" or None
                    )
                    for name, simulator in self.conditions.items()
                },
                "unavailable": self._unavailable(),
            },
        )

    def _unavailable(self) -> Condition:
        """Return the HTTP calls that make the main relay unavailable and available again."""
        token, url = self.main.config.control.token, f"{self.main.control_url}/drain"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Condition(
            begin=Action(http=HttpCall(url, "POST", headers=headers)),
            end=Action(http=HttpCall(url, "DELETE", headers=headers)),
        )


def _observed(config: Config) -> Config:
    """Return the configuration with metrics and controls, by default on free ports."""
    metrics = config.metrics if config.metrics.enabled else MetricsSettings(enabled=True, port=0)
    control = config.control if config.control.port is not None else replace(config.control, port=0)
    return replace(config, metrics=metrics, control=control)


def _with_condition(config: Config, parts: dict[str, Any]) -> Config:
    return replace(
        config,
        listen=Listen(config.listen.host, 0),
        relay=replace(config.relay, **parts),
        metrics=MetricsSettings(enabled=False),
        control=ControlSettings(),
    )


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile atomically, readable by its owner only, since it may contain the secret; raises ConfigError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.touch(mode=0o600)
        part.write_text(dump(profile), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"--profile-out {path}: can't be written: {error.strerror or error}") from None
