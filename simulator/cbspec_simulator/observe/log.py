"""The log of a relay's events, as text or JSON lines; each names connection and tenant."""

from __future__ import annotations

import logging
import sys
from typing import IO, Final

import structlog

from cbspec.redact import redact, redact_message
from cbspec_simulator.relay.events import Answered, Connected, Decided, Disconnected, Event, MessageReceived

log = logging.getLogger("simulator")

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")


def log_event(event: Event) -> None:
    """Log an event: connections, errors and strikes of faults at level info, all others at level debug."""
    if not log.isEnabledFor(logging.INFO):
        return
    match event:
        case Connected(connection):
            _line(logging.INFO, "connected", connection.number, connection.acts_for, address=str(connection.address))
        case MessageReceived(connection, name, text):
            who = connection.number, connection.acts_for
            _line(logging.DEBUG, "request", *who, type=name, text=redact_message(text))
        case Answered(connection, body, texts):
            refused = body.get("type") == "error"
            values: dict[str, object] = {name: str(body.get(name)) for name in ("type", "code")[: 1 + refused]}
            if log.isEnabledFor(logging.DEBUG):
                values["text"] = " ".join(map(redact_message, texts))
            level = logging.INFO if refused else logging.DEBUG
            _line(level, "answer", connection.number, connection.acts_for, **values)
        case Decided(decision):
            about = decision.occasion
            values = {"fault": decision.fault, "kind": decision.kind, "at": about.message}
            values |= {"match": decision.number, "struck": decision.struck, "seed": decision.seed}
            if decision.chance is not None:
                values["chance"] = decision.chance
            level = logging.INFO if decision.struck else logging.DEBUG
            _line(level, "fault", about.connection, (about.tenant, about.subject), **values)
        case Disconnected(connection, reset):
            _line(logging.INFO, "ended", connection.number, connection.acts_for, how="reset" if reset else "closed")


def _line(level: int, event: str, connection: int, acts_for: tuple[str, str], **values: object) -> None:
    if log.isEnabledFor(level):
        tenant, subject = map(redact, acts_for)
        log.log(level, event, extra={"connection": connection, "tenant": tenant, "subject": subject, **values})


def configure(level: str = "warning", format_: str = "text", stream: IO[str] | None = None) -> None:
    """Write the logs of the simulator and of asyncio to a stream (default: standard error)."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    text = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer() if format_ == "json" else text,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    for name in ("simulator", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
