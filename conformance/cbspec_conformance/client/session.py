"""One situation from beginning to end: start the relay and the client, watch, stop, and return what was observed."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec_conformance.client.client_profile import ClientProfile, filled, values_of
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.observed import Observation
from cbspec_conformance.client.process import ClientProcess
from cbspec_conformance.client.situation_relay import Script, SituationRelay
from cbspec_conformance.client.situations import Kind, Situation
from cbspec_conformance.client.watch import Limits, Watch, limits
from cbspec_conformance.runner.options import free_endpoint

_HOST: Final = "127.0.0.1"
_TICK: Final = 0.1  # seconds between looks at the clock: the loop's delay is measured, and quiet times are noticed


class Slots:
    """How many clients may run, and how many of them may be busy: a client that starts needs the processor."""

    def __init__(self, running: int, busy: int) -> None:
        self._running = asyncio.Semaphore(running)
        self._busy = asyncio.Semaphore(busy)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[ProcessorShare]:
        """Wait for a free slot; the client counts as busy until the yielded object is told that it waits."""
        async with self._running:
            busy = ProcessorShare(self._busy)
            await self._busy.acquire()
            try:
                yield busy
            finally:
                busy.waits()


@dataclass(slots=True)
class ProcessorShare:
    """Releases a client's share of the processor once."""

    semaphore: asyncio.Semaphore
    released: bool = False

    def waits(self) -> None:
        """Take note that the client only waits from now on."""
        if not self.released:
            self.released = True
            self.semaphore.release()


@dataclass(slots=True)
class Session:
    """One run of the client in a situation. `folder` is kept if it is given; `token` is the client's."""

    situation: Situation
    profile: ClientProfile
    habits: Habits
    transport: str
    quick: bool
    seen: Observation = field(default_factory=Observation)
    token: str = ""
    local_port: int = 0
    began: float = field(default_factory=time.monotonic)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _now(self) -> float:
        return time.monotonic() - self.began

    @property
    def _limits(self) -> Limits:
        return limits(self.profile, self.habits, quick=self.quick)

    def _script(self) -> Script | None:
        """Return what decides on the relay's answers instead of the situation's faults."""
        return None

    async def run(self, slots: Slots) -> Observation:
        """Run the situation. Raises CannotStart."""
        async with slots.taken() as busy:
            self.began = time.monotonic()
            relay = SituationRelay(
                self.situation,
                self.seen,
                transport=self.transport,
                secret=self.profile.secret,
                now=self._now,
                changed=self._changed.set,
                script=self._script(),
            )
            async with relay:
                self.token = relay.token(self.profile.tenant, self.profile.subject)
                with tempfile.TemporaryDirectory(prefix="cbspec-client-") as folder:
                    await self._with_client(relay, Path(folder), busy)
        return self.seen

    async def _with_client(self, relay: SituationRelay, folder: Path, busy: ProcessorShare) -> None:
        values = self._values(relay, folder)
        client = ClientProcess(self._now, self._changed.set, (self.token, self.profile.secret or ""))
        self.seen.output = client.output
        try:
            await client.start(
                [filled(word, values) for word in self.profile.command],
                _environment(self.profile, values),
                self.profile.working_directory,
            )
            await self._watch(relay, client, busy)
            self.seen.watched = self._now()
            relay.stop_recording()
            self.seen.ports = await self._open_ports()
        finally:
            await client.stop(self.profile.stop_time)
            self.seen.exit = client.exit
            self.seen.leaks = client.leaks

    async def _watch(self, relay: SituationRelay, client: ClientProcess, busy: ProcessorShare) -> None:
        watch = Watch(self.situation, self.profile, self.habits, self._limits)
        while True:
            self.seen.exit = client.exit
            now = self._now()
            if self.situation.drop and self.seen.acted is None and watch.is_up(self.seen, now):
                self.seen.acted = now
                relay.drop_all(self.situation.drop)
            due = watch.due(self.seen)
            if now >= due:
                return
            if self.seen.struck is not None or now > 2 * self.habits.ready + 2.0:
                busy.waits()
            await self._next_event(due - now)

    async def _next_event(self, most: float) -> None:
        """Wait for an event, `most` seconds or until the next look at the clock."""
        self._changed.clear()
        wait = min(_TICK, most)
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._changed.wait()
        self.seen.lag = max(self.seen.lag, time.monotonic() - began - wait)

    def _values(self, relay: SituationRelay, folder: Path) -> Mapping[str, str]:
        self.local_port = free_endpoint().port
        token_file = folder / "token"
        token_file.write_text(self.token, encoding="utf-8")
        token_file.chmod(0o600)
        values = values_of(
            host=_HOST,
            port=relay.port,
            ca=relay.ca_file,
            token=self.token,
            token_file=token_file,
            tenant=self.profile.tenant,
            local_port=self.local_port,
            transport=self.transport,
            url=f"wss://{_HOST}:{relay.port}/",
            secret=self.profile.secret or DEVELOPMENT_SECRET,
            situation=self.situation.name,
            folder=folder,
        )
        for name, template in self.profile.files.items():
            (folder / name).write_text(filled(template.read_text(encoding="utf-8"), values), encoding="utf-8")
        return values

    async def _open_ports(self) -> dict[int, bool]:
        """Try the local ports of the client's tunnels, and those of its profile."""
        asked = [
            message.body.get("local_port")
            for connection in self.seen.connections
            for message in connection.of("tunnel_info")
        ]
        ports = {port for port in (*asked, *self.profile.ports) if isinstance(port, int) and 0 < port <= 65535}
        if self.situation.kind is not Kind.CLEAN:
            ports |= set(self.habits.listens)
        return {port: await _accepts(port) for port in sorted(ports)[:8]}


def _environment(profile: ClientProfile, values: Mapping[str, str]) -> dict[str, str]:
    named = {
        "CBSPEC_SITUATION": values["situation"],
        "CBSPEC_HOST": values["host"],
        "CBSPEC_PORT": values["port"],
        "CBSPEC_CA": values["ca"],
        "CBSPEC_TOKEN": values["token"],
        "CBSPEC_TENANT": values["tenant"],
        "CBSPEC_TRANSPORT": values["transport"],
    }
    return named | {name: filled(text, values) for name, text in profile.environment.items()}


async def _accepts(port: int) -> bool:
    try:
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection(_HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
