"""The simulator as the relay of one situation, and the record of everything that a client does with it.

This is the only module of the suite that imports the simulator: in the judgement of clients, the simulator is the
instrument, as the probe is for relays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from cbspec.tokens.jwt import mint
from cbspec_conformance.client.observed import ClientConnection, Handshake, Observation, SeenStrike
from cbspec_conformance.client.situations import Situation
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.relay import events
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.testing.setup import Setup
from cbspec_simulator.variations.registry import arranged, varied

Script = Callable[[int, str, bytes], Sequence[Mapping[str, Any]]]
"""Returns the faults for a message of the client: arguments are the connection's number, the type and the text."""

_DAY: Final = 24 * 3600
_GRACE: Final = 0.0
_LENIENT: Final = "heartbeat-before-auth-served"
"""An open point taken in the client's favour: a client that measures the round trip before auth gets its answer."""


class SituationRelay:
    """A relay on a free port for the duration of an `async with`; events go to `observation`.

    Arguments: `transport` restricts the relay to one transport; `secret` is that of the tokens (None: the development
    secret); `now` returns the seconds since the situation began; `changed` is called after each event. `script` decides
    on the faults, message by message.
    """

    def __init__(
        self,
        situation: Situation,
        observation: Observation,
        *,
        transport: str,
        secret: str | None,
        now: Callable[[], float],
        changed: Callable[[], None],
        script: Script | None = None,
    ) -> None:
        config: dict[str, Any] = {"tokens": {"secret": secret}} if secret else {}
        faults = [{**fault, "name": f"fault-{number}"} for number, fault in enumerate(situation.faults, 1)]
        read = Setup.of(config=config, faults=faults).read()
        ids = (f"{transport}-only", _LENIENT, *situation.variations)
        self._simulator = Simulator(arranged(read, *ids), behaviour=varied(Behaviour(), *ids))
        self._observation = observation
        self._now = now
        self._changed = changed
        self._script = script
        self._about: dict[int, ClientConnection] = {}
        self._recording = True

    async def __aenter__(self) -> Self:
        await self._simulator.start()
        handlers: Mapping[type[events.Event], Callable[[Any], None]] = {
            events.Accepted: self._accepted,
            events.Secured: self._secured,
            events.NotSecured: self._not_secured,
            events.BytesReceived: self._received,
            events.BytesSent: self._sent,
            events.ConnectionEnding: self._ended,
            events.Decided: self._decided,
            events.MessageReceived: self._asked,
        }
        for kind, handler in handlers.items():
            self._simulator.relay.tell.add(partial(self._record, handler), kind)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._simulator.close(_GRACE)

    @property
    def port(self) -> int:
        """The port that the relay listens on."""
        return self._simulator.address[1]

    @property
    def ca_file(self) -> Path:
        """The CA that the client has to trust."""
        assert self._simulator.ca_file is not None  # noqa: S101 - set at the start
        return self._simulator.ca_file

    def token(self, tenant: str, subject: str) -> str:
        """Return a token that this relay accepts for a day."""
        key, now = self._simulator.config.tokens.key(), int(time.time())
        return mint(key, {"sub": subject, "tenant_id": tenant, "iat": now, "exp": now + _DAY})

    def stop_recording(self) -> None:
        """Record nothing more: what a client does when it is asked to end says nothing about the situation."""
        self._recording = False

    def _record(self, handler: Callable[[Any], None], event: events.Event) -> None:
        if self._recording:
            handler(event)

    def drop_all(self, how: str) -> None:
        """End every connection as a situation's `drop` says."""
        self._simulator.controls.drop_all(str(ConnectionEnd(how)))

    def _of(self, number: int) -> ClientConnection:
        if number not in self._about:
            self._about[number] = ClientConnection(number, self._now())
            self._observation.connections.append(self._about[number])
        return self._about[number]

    def _accepted(self, event: events.Accepted) -> None:
        self._of(event.number)
        self._changed()

    def _secured(self, event: events.Secured) -> None:
        facts = event.facts
        self._of(event.number).handshake = Handshake(
            True,
            facts.version,
            facts.cipher,
            facts.server_name,
            facts.alpn,
            facts.client_certificate,
            facts.resumed,
        )
        self._changed()

    def _not_secured(self, event: events.NotSecured) -> None:
        self._of(event.number).handshake = Handshake(
            failure=event.reason,
            server_name=event.server_name,
            alert_sent=event.alert_sent,
            alert_received=event.alert_received,
            plain=event.plain,
        )
        self._changed()

    def _received(self, event: events.BytesReceived) -> None:
        self._of(event.number).incoming.receive(event.data, self._now())
        self._changed()

    def _sent(self, event: events.BytesSent) -> None:
        self._of(event.number).outgoing.receive(event.data, self._now())
        self._changed()

    def _ended(self, event: events.ConnectionEnding) -> None:
        connection = self._of(event.number)
        if connection.ended is None:
            connection.ended, connection.by, connection.how = self._now(), str(event.by), str(event.how)
        self._changed()

    def _asked(self, event: events.MessageReceived) -> None:
        if self._script is None:
            return
        wanted = self._script(event.connection.number, event.type, event.text)
        self._simulator.relay.faults.reset()
        self._simulator.relay.faults.add_all([Fault.read(each) for each in wanted], 0.0)  # the message came before now

    def _decided(self, event: events.Decided) -> None:
        decision = event.decision
        if decision.struck:
            about = decision.occasion
            self._observation.strikes.append(
                SeenStrike(self._now(), about.connection, about.answer_to or about.message)
            )
        self._changed()
