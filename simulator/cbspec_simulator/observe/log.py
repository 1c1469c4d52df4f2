"""The log: what happens in a relay as lines for people or for programs, each with connection and tenant."""

from __future__ import annotations

import logging
import sys
from typing import IO, Final

import structlog

from cbspec.redact import hide, mask
from cbspec_simulator.relay.events import Answered, Connected, Decided, Disconnected, Event, MessageReceived

log = logging.getLogger("simulator")

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")


def tell(event: Event) -> None:
    """Write a line about what happened, where anybody wants it.

    Connections, refusals and faults that strike are of level info, every message and the faults that don't of debug.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    match event:
        case Connected(connection):
            _line(logging.INFO, "connected", connection.number, connection.acts_for, address=str(connection.address))
        case MessageReceived(connection, name, text):
            _line(logging.DEBUG, "request", connection.number, connection.acts_for, type=name, text=mask(text))
        case Answered(connection, body, texts):
            refused = body.get("type") == "error"
            said: dict[str, object] = {"type": str(body.get("type"))}
            if refused:
                said["code"] = str(body.get("code"))
            if log.isEnabledFor(logging.DEBUG):
                said["text"] = " ".join(map(mask, texts))
            _line(logging.INFO if refused else logging.DEBUG, "answer", connection.number, connection.acts_for, **said)
        case Decided(decision):
            about = decision.occasion
            found: dict[str, object] = {"fault": decision.fault, "kind": decision.kind, "at": about.message}
            found |= {"match": decision.number, "struck": decision.struck, "seed": decision.seed}
            if decision.chance is not None:
                found["chance"] = decision.chance
            level = logging.INFO if decision.struck else logging.DEBUG
            _line(level, "fault", about.connection, (about.tenant, about.subject), **found)
        case Disconnected(connection, reset):
            _line(logging.INFO, "ended", connection.number, connection.acts_for, how="reset" if reset else "closed")


def _line(level: int, event: str, connection: int, acts_for: tuple[str, str], **said: object) -> None:
    if log.isEnabledFor(level):
        tenant, subject = map(hide, acts_for)
        log.log(level, event, extra={"connection": connection, "tenant": tenant, "subject": subject, **said})


def configure(level: str = "warning", format_: str = "text", stream: IO[str] | None = None) -> None:
    """Have the simulator's log, and asyncio's complaints, written to a stream (standard error) as lines."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    for name in ("simulator", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
