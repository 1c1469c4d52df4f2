"""The log: lines with connection and tenant, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.log import FORMATS, LEVELS, configure, log_event
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth
from tests.support.messages import token


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("simulator", "asyncio")]
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def _lines(level: str, format_: str) -> str:
    stream = io.StringIO()
    configure(level, format_, stream)
    memory = MemoryRelay()
    memory.relay.tell.add(log_event)
    memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat", "probability": 0.0}}), 0.0)
    memory.relay.faults.add(Fault.read({"kind": "error", "code": "no_room", "when": {"message": "heartbeat"}}), 0.0)
    client = memory.client()
    for message in (HELLO, auth("a"), BEAT):
        client.send(message)
    client.session.end(reset=True)
    return stream.getvalue()


def test_json_lines() -> None:
    found: list[dict[str, Any]] = [json.loads(line) for line in _lines("debug", "json").splitlines()]
    assert [(line["event"], line["level"]) for line in found] == [
        ("connected", "info"),
        ("request", "debug"),
        ("answer", "debug"),
        ("request", "debug"),
        ("answer", "debug"),
        ("request", "debug"),
        ("fault", "debug"),
        ("fault", "info"),
        ("answer", "info"),
        ("ended", "info"),
    ]
    assert {line["connection"] for line in found} == {1}
    assert [line["tenant"] for line in found] == ["", "", "", *["a"] * 7]
    drawn, struck = found[6], found[7]
    assert (drawn["struck"], drawn["seed"], drawn["match"]) == (False, 0, 1)
    assert 0 <= drawn["chance"] < 1
    assert (struck["struck"], struck["fault"], struck["kind"]) == (True, "fault-2", "error")
    assert found[8]["code"] == "no_room"


def test_lines_for_people() -> None:
    text = _lines("info", "text")
    assert "code=no_room connection=1" in text
    assert "request" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("level", LEVELS)
def test_no_token_is_there(level: str, format_: str) -> None:
    assert token().split(".")[0] not in _lines(level, format_)


@pytest.mark.parametrize(("level", "some"), [("warning", False), ("error", False), ("info", True)])
def test_levels(level: str, some: bool) -> None:
    assert bool(_lines(level, "json")) is some


def test_a_failure_is_told_with_its_traceback() -> None:
    stream = io.StringIO()
    configure("error", "json", stream)
    try:
        int("no")
    except ValueError:
        logging.getLogger("simulator").exception("a connection failed")
    line = json.loads(stream.getvalue())
    assert line["event"] == "a connection failed"
    assert "ValueError: invalid literal" in line["exception"]
