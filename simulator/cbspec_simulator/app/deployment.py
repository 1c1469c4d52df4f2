"""A relay together with others of its kind in which the conditions hold that the wire can't bring about."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cbspec.profile.profile import dump
from cbspec.profile.target import Action, Condition, Endpoint, HttpCall, Profile
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
"""What is different in the relay where a condition holds, by the profile's name of the condition.

The main relay itself is made unavailable by its controls."""


class Deployment:
    """The main relay and one more for each condition, for the time of an `async with`.

    They share identity, tenants and behaviour, not their counters. The profile also names a remote end that can't be
    reached: its port is held, and nobody listens there.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None, *, transcript: Path | None = None) -> None:
        self.main = Simulator(_watched(config), behaviour=behaviour, transcript=transcript)
        self.conditions = {
            name: Simulator(_with_condition(config, parts), behaviour=behaviour) for name, parts in CONDITIONS.items()
        }
        self._stack = contextlib.AsyncExitStack()
        self._held = socket.socket()

    async def __aenter__(self) -> Self:
        try:
            self._stack.callback(self._held.close)
            self._held.bind((_LOOPBACK, 0))
            for simulator in (self.main, *self.conditions.values()):
                await self._stack.enter_async_context(simulator)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def drain(self, grace: float) -> None:
        """Take no new work anywhere, and wait for what is open to end, at most `grace` seconds."""
        await asyncio.gather(*(simulator.drain(grace) for simulator in (self.main, *self.conditions.values())))

    def reload(self, config: Config) -> None:
        """Go on by another configuration without dropping a connection; raises as `Simulator.reload` does."""
        self.main.reload(_watched(config))
        for name, simulator in self.conditions.items():
            simulator.reload(_with_condition(config, CONDITIONS[name]))

    def profile(self) -> Profile:
        """Return everything that the conformance suite needs to exercise every requirement."""
        main = self.main.profile()
        unreachable = Endpoint(*self._held.getsockname())
        return replace(
            main,
            remote=replace(main.remote, unreachable=unreachable),
            conditions={
                **{name: _condition(name, simulator) for name, simulator in self.conditions.items()},
                "unavailable": self._unavailable(),
            },
        )

    def _unavailable(self) -> Condition:
        """Return how the main relay is made unavailable, and available again: so its coming back can be judged too."""
        rules, url = self.main.config.control, f"{self.main.control_url}/drain"
        headers = {"Authorization": f"Bearer {rules.token}"} if rules.token else {}
        return Condition(
            begin=Action(http=HttpCall(url, "POST", headers=headers)),
            end=Action(http=HttpCall(url, "DELETE", headers=headers)),
        )


def _watched(config: Config) -> Config:
    """Return the configuration with metrics and controls, on free ports where it names none."""
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


def _condition(name: str, simulator: Simulator) -> Condition:
    known: dict[str, Any] = {"target": simulator.endpoint}
    if name in ("buffer_pool", "connection_limit"):
        known["limit"] = _LIMIT
    if name == "transfer_failed":
        known["dialled"] = True
    return Condition(**known)


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile as a whole or not at all, readable by its owner only: it may hold the secret.

    Raises ConfigError where that fails.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.touch(mode=0o600)
        part.write_text(dump(profile), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"--profile-out {path}: can't be written: {error.strerror or error}") from None
