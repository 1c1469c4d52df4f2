"""What is taken down: every message, what faults did, and no token."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.transcript import REMEMBERED, RelayTranscript, TranscriptEntry, lines
from cbspec_simulator.relay.events import Connected, Disconnected, Subscribers
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, HELLO, AsyncClient, auth
from tests.support.memory import MemoryRelay
from tests.support.messages import token

ANY_PORT = Config(listen=Listen(port=0), faults=(Fault.read({"kind": "drop", "when": {"message": "error"}}),))


async def _exchange(file: Path | None = None) -> list[TranscriptEntry]:
    async with Simulator(ANY_PORT, transcript=file) as simulator:
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            wire.write(b"garbage\n")
            await wire.ask(BEAT)
        return list(simulator.transcript.entries())


async def test_everything_is_there_in_order() -> None:
    entries = await _exchange()
    assert [(entry.event, entry.type) for entry in entries][:10] == [
        ("connected", "tcp"),
        ("request", "hello"),
        ("answer", "hello_response"),
        ("request", "auth"),
        ("answer", "auth_response"),
        ("request", "unknown"),
        ("fault", "fault-1"),
        ("request", "heartbeat"),
        ("answer", "heartbeat_response"),
    ][:10]
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry.connection for entry in entries} == {1}
    assert entries[1].text == HELLO.decode().strip()
    assert entries[4].tenant == "tenant-001"
    assert (entries[0].transport, entries[0].address) == ("tcp", "127.0.0.1")


async def test_no_token_is_there(tmp_path: Path) -> None:
    file = tmp_path / "transcript.jsonl"
    entries = await _exchange(file)
    assert '"<token>"' in entries[3].text
    assert token().split(".")[0] not in file.read_text()


def test_no_token_is_there_as_a_name() -> None:
    memory = MemoryRelay()
    transcript = RelayTranscript(Clock())
    transcript.listen(memory.relay.tell)
    memory.greeted().send(auth("a", sub=token()))
    assert {entry.subject for entry in transcript.entries()} == {"", "<token>"}


async def test_the_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "transcript.jsonl"
    entries = await _exchange(file)
    read = [TranscriptEntry.from_json(json.loads(line)) for line in file.read_text().splitlines()]
    assert read[: len(entries)] == entries
    assert read[-1].event == "ended"


async def test_a_file_that_cant_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"transcript .*nowhere.*: no such file or directory"):
        async with Simulator(ANY_PORT, transcript=tmp_path / "nowhere" / "t.jsonl"):
            pass


def test_a_full_disk_ends_the_file_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    transcript = RelayTranscript(Clock(), Path("/dev/full"))
    with caplog.at_level(logging.ERROR, "simulator"):
        _many(transcript, 2)
    assert "the transcript ends here: No space left on device" in caplog.text
    assert len(transcript.entries()) == 2
    transcript.close()


def test_only_the_last_entries_stay_in_memory() -> None:
    transcript = RelayTranscript(Clock())
    _many(transcript, REMEMBERED + 5)
    entries = transcript.entries()
    assert (len(entries), entries[0].number, entries[-1].number) == (REMEMBERED, 6, REMEMBERED + 5)
    assert [entry.number for entry in transcript.entries(REMEMBERED + 3)] == [REMEMBERED + 4, REMEMBERED + 5]
    transcript.clear()
    assert transcript.entries() == ()


def test_who_follows_is_told_until_it_ends() -> None:
    transcript, seen = RelayTranscript(Clock()), list[Any]()
    stop = transcript.follow(seen.append)
    _many(transcript, 3)
    stop()
    _many(transcript, 3)
    assert [entry.number for entry in seen] == [1, 2, 3]


def test_lines_for_people() -> None:
    entries = [
        TranscriptEntry(1, 100.0, 7, "tcp", "::1", "", "", "connected", "tcp", ""),
        TranscriptEntry(2, 100.25, 7, "tcp", "::1", "a", "u", "request", "hello", "{}"),
        TranscriptEntry(3, 101.5, 7, "tcp", "::1", "a", "", "fault", "late", "delay"),
        TranscriptEntry(4, 101.5, 7, "tcp", "::1", "a", "u", "ended", "reset", ""),
    ]
    assert list(lines(entries)) == [
        "    0.000 #7    -                    -- connected from ::1 (tcp)",
        "    0.250 #7    a/u                  -> {}",
        "    1.500 #7    a                    !! late delay",
        "    1.500 #7    a/u                  -- reset",
    ]


def _many(transcript: RelayTranscript, count: int) -> None:
    connection, tell = MemoryRelay().client().session.state, Subscribers()
    transcript.listen(tell)
    for number in range(count):
        tell(Disconnected(connection, reset=False) if number % 2 else Connected(connection))


def test_an_auth_is_laid_to_whom_it_names() -> None:
    memory = MemoryRelay()
    transcript = RelayTranscript(Clock())
    transcript.listen(memory.relay.tell)
    client = memory.greeted()
    client.send(auth("b", exp=1))
    request, answer = transcript.entries()[-2:]
    assert (request.event, answer.event) == ("request", "answer")
    assert (answer.tenant, answer.subject) == ("b", "user123")
