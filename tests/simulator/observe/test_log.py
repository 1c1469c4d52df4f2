"""The log: lines with connection and tenant, as text and as JSON, without tokens."""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.log import FORMATS, LEVELS, configure, log_event
from cbspec_simulator.relay.events import ConnectionEnding, EndedBy, EndedHow, NotSecured
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth
from tests.support.messages import token


@pytest.fixture(autouse=True)
def _restored_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("simulator", "asyncio")]
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def logged(level: str, format_: str) -> str:
    """Return the log of one conversation with two faults."""
    stream = io.StringIO()
    configure(level, format_, stream)
    memory = MemoryRelay()
    memory.relay.tell.add(log_event)
    memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat", "probability": 0.0}}), 0.0)
    memory.relay.faults.add(Fault.read({"kind": "error", "code": "no_room", "when": {"message": "heartbeat"}}), 0.0)
    client = memory.client()
    for message in (HELLO, auth("a"), BEAT):
        client.send(message)
    memory.relay.tell(NotSecured(1, "no TLS", plain=b'{"type":"auth","token":"eyJhbG'))
    memory.relay.tell(
        ConnectionEnding(1, EndedBy.CLIENT, EndedHow.RESET, "", client.session.state, b'{"token":"eyJhbG')
    )
    return stream.getvalue()


def test_json_lines() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged("debug", "json").splitlines()]
    expected = ["connected", *["request", "answer"] * 2, "request", "fault", "fault", "answer", "not secured", "ended"]
    assert [line["event"] for line in lines] == expected
    assert [line["event"] for line in lines if line["level"] == "info"] == ["connected", *expected[-4:]]
    assert {line["connection"] for line in lines} == {1}
    assert [line["tenant"] for line in lines] == ["", "", "", *["a"] * 6, "", "a"]
    drawn, struck = lines[6], lines[7]
    assert (drawn["struck"], drawn["seed"], drawn["match"]) == (False, 0, 1)
    assert 0 <= drawn["chance"] < 1
    assert (struck["struck"], struck["fault"], struck["kind"]) == (True, "fault-2", "error")
    assert lines[8]["code"] == "no_room"
    assert (lines[9]["reason"], lines[9]["plain"]) == ("no TLS", '{"type":"auth","token":"<token>"')
    assert (lines[10]["by"], lines[10]["how"], lines[10]["unfinished"]) == ("client", "reset", '{"token":"<token>"')


def test_levels_and_secrets() -> None:
    for level, format_ in itertools.product(LEVELS, FORMATS):
        text = logged(level, format_)
        assert token().split(".")[0] not in text
        assert bool(text) is (level in ("debug", "info"))
        assert "\x1b" not in text


def test_exceptions_are_logged_with_a_traceback() -> None:
    stream = io.StringIO()
    configure("error", "json", stream)
    try:
        int("no")
    except ValueError:
        logging.getLogger("simulator").exception("a connection failed")
    line = json.loads(stream.getvalue())
    assert line["event"] == "a connection failed"
    assert "ValueError: invalid literal" in line["exception"]


def test_a_remark_about_a_message_is_logged() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    memory = MemoryRelay()
    memory.relay.tell.add(log_event)
    memory.client().send({**HELLO, "version": "2.0"})
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["connection"], line["text"][:13]) for line in found if line["event"] == "remark"] == [
        (1, 'version "2.0"')
    ]
