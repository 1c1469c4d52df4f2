"""The log of a relay's events, as text or JSON lines; each names connection and tenant."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import IO, Any, Final

from cbspec.redact import redact, redact_message
from cbspec_simulator.observe.lint import remarks
from cbspec_simulator.relay.events import (
    Accepted,
    Answered,
    Connected,
    ConnectionEnding,
    Controlled,
    Decided,
    Event,
    MessageReceived,
    NotSecured,
    Secured,
    Unread,
)

log = logging.getLogger("simulator")

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")
LOGGED: Final = (
    Accepted,
    Secured,
    NotSecured,
    Connected,
    MessageReceived,
    Unread,
    Answered,
    Decided,
    ConnectionEnding,
    Controlled,
)
"""The events that are logged."""

_NOBODY: Final = ("", "")


def log_event(event: Event) -> None:
    """Log an event: connections, errors, remarks, strikes and controls at level info, all others at level debug."""
    if not log.isEnabledFor(logging.INFO):
        return
    match event:
        case Connected(connection):
            _line(logging.INFO, "connected", connection.number, connection.acts_for, address=str(connection.address))
        case MessageReceived(connection, name, text):
            who = connection.number, connection.acts_for
            _line(logging.DEBUG, "request", *who, type=name, text=redact_message(text))
            for remark in remarks(text, redact(connection.acts_for[0])):
                _line(logging.INFO, "remark", *who, type=name, text=remark)
        case Answered(connection, body, texts, _, more):
            refused = body.get("type") == "error"
            values: dict[str, object] = {name: str(body.get(name)) for name in ("type", "code")[: 1 + refused]}
            if log.isEnabledFor(logging.DEBUG):
                values["text"] = " ".join(map(redact_message, texts, more or [0] * len(texts)))
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
        case ConnectionEnding():
            _ended(event)
        case _:
            _below_messages(event)


def _ended(event: ConnectionEnding) -> None:
    values: dict[str, object] = {"by": str(event.by), "how": str(event.how)}
    if event.alert:
        values["alert"] = event.alert
    if event.unfinished:
        values["unfinished"] = redact_message(event.unfinished)
    acts_for = _NOBODY if event.connection is None else event.connection.acts_for
    _line(logging.INFO, "ended", event.number, acts_for, **values)


def _below_messages(event: Event) -> None:
    match event:
        case Accepted(number, address):
            _line(logging.DEBUG, "accepted", number, _NOBODY, address=address)
        case Secured(number, facts):
            names = ("version", "cipher", "server_name", "alpn", "client_certificate", "resumed", "offered")
            values = {name: getattr(facts, name) for name in names}
            _line(logging.DEBUG, "secured", number, _NOBODY, **_given(values))
        case NotSecured():
            values = event._asdict()
            values["plain"] = redact_message(event.plain)
            del values["number"]
            _line(logging.INFO, "not secured", event.number, _NOBODY, **_given(values))
        case Unread(number, data):
            _line(logging.DEBUG, "unread", number, _NOBODY, text=redact_message(data))
        case Controlled(action, text):
            _line(logging.INFO, "control", 0, _NOBODY, action=action, text=redact(text))


def _given(values: Mapping[str, Any]) -> dict[str, object]:
    """Return the values that aren't empty, with texts of the client redacted."""
    shown = {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in values.items() if value}
    return {name: redact(value) if isinstance(value, str) else value for name, value in shown.items()}


def _line(level: int, event: str, connection: int, acts_for: tuple[str, str], **values: object) -> None:
    if log.isEnabledFor(level):
        tenant, subject = map(redact, acts_for)
        log.log(level, event, extra={"connection": connection, "tenant": tenant, "subject": subject, **values})


class _Formatter(logging.Formatter):
    """Formats by structlog. The first line of text imports it, since that takes a tenth of a second."""

    def __init__(self, format_: str, *, colors: bool) -> None:
        super().__init__("%(levelname)s %(message)s")
        self._format = format_
        self._colors = colors
        if format_ == "json":
            _ = self._made

    @cached_property
    def _made(self) -> logging.Formatter:
        import structlog

        shared: list[structlog.typing.Processor] = [
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        last: list[structlog.typing.Processor] = [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer()
            if self._format == "json"
            else structlog.dev.ConsoleRenderer(colors=self._colors),
        ]
        return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        try:
            return self._made.format(record)
        except OSError:  # no file can be opened, not even a module's: the line says so itself
            return super().format(record)


def configure(level: str = "warning", format_: str = "text", stream: IO[str] | None = None) -> None:
    """Write the logs of the simulator and of asyncio to a stream (default: standard error)."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(format_, colors=stream.isatty()))
    for name in ("simulator", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
