"""The transcript: every message and strike in order, in memory and in a file, without tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.transcript import REMEMBERED, RelayTranscript, TranscriptEntry, lines
from cbspec_simulator.relay.events import Connected, Disconnected, Subscribers
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, HELLO, AsyncClient
from tests.support.memory import MemoryRelay, auth
from tests.support.messages import token

CONFIG = Config(listen=Listen(port=0), faults=(Fault.read({"kind": "drop", "when": {"message": "error"}}),))


async def test_memory_and_file_have_all_events_in_order_without_tokens(tmp_path: Path) -> None:
    file = tmp_path / "transcript.jsonl"
    async with Simulator(CONFIG, transcript=file) as simulator:
        async with AsyncClient(simulator.address) as client:
            await client.greet()
            client.write(b"garbage\n")
            await client.ask(BEAT)
        entries = list(simulator.transcript.entries())
    assert [(entry.event, entry.type) for entry in entries][:11] == [
        ("accepted", ""), ("secured", "TLSv1.3"),
        ("connected", "tcp"), ("request", "hello"), ("answer", "hello_response"), ("request", "auth"),
        ("answer", "auth_response"), ("request", "unknown"), ("fault", "fault-1"), ("request", "heartbeat"),
        ("answer", "heartbeat_response"),
    ]  # fmt: skip
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry.connection for entry in entries} == {1}
    assert entries[3].text == HELLO.decode().strip()
    assert '"<token>"' in entries[5].text
    assert entries[6].tenant == "tenant-001"
    assert (entries[2].transport, entries[2].address) == ("tcp", "127.0.0.1")
    text = file.read_text()
    assert token().split(".")[0] not in text
    read = [TranscriptEntry.from_json(json.loads(line)) for line in text.splitlines()]
    assert read[: len(entries)] == entries
    assert read[-1].event == "ended"


def test_an_auth_belongs_to_the_subject_that_it_names() -> None:
    memory = MemoryRelay()
    transcript = RelayTranscript(Clock())
    transcript.listen(memory.relay.tell)
    memory.greeted().send(auth("b", exp=1))
    answer = transcript.entries()[-1]
    assert (answer.event, answer.tenant, answer.subject) == ("answer", "b", "user123")
    memory.greeted().send(auth("a", sub=token()))
    assert transcript.entries()[-1].subject == "<token>"


async def test_files_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"transcript .*nowhere.*: no such file or directory"):
        await Simulator(CONFIG, transcript=tmp_path / "nowhere" / "t.jsonl").start()
    transcript = RelayTranscript(Clock(), Path("/dev/full"))
    _record(transcript, 2)
    assert "the transcript ends here: No space left on device" in caplog.text
    assert len(transcript.entries()) == 2
    transcript.close()


def test_the_last_entries_stay_in_memory_and_followers_get_the_new_ones() -> None:
    transcript, seen = RelayTranscript(Clock()), list[TranscriptEntry]()
    stop = transcript.follow(seen.append)
    _record(transcript, 3)
    stop()
    _record(transcript, REMEMBERED + 2)
    assert [entry.number for entry in seen] == [1, 2, 3]
    entries = transcript.entries()
    assert (len(entries), entries[0].number, entries[-1].number) == (REMEMBERED, 6, REMEMBERED + 5)
    assert [entry.number for entry in transcript.entries(REMEMBERED + 3)] == [REMEMBERED + 4, REMEMBERED + 5]
    transcript.clear()
    assert transcript.entries() == ()


def test_entries_as_text() -> None:
    entries = [
        TranscriptEntry(1, 100.0, 7, "tcp", "::1", "", "", "connected", "tcp", ""),
        TranscriptEntry(2, 100.25, 7, "tcp", "::1", "a", "u", "request", "hello", "{}"),
        TranscriptEntry(3, 101.5, 7, "tcp", "::1", "a", "", "fault", "late", "delay"),
        TranscriptEntry(4, 101.5, 7, "tcp", "::1", "a", "u", "answer", "x", "{\n}"),
        TranscriptEntry(5, 102.0, 7, "tcp", "::1", "a", "u", "sent", "x", "{", of=4),
        TranscriptEntry(6, 102.0, 7, "tcp", "::1", "a", "u", "unread", "", "{}"),
        TranscriptEntry(7, 102.0, 7, "tcp", "::1", "a", "u", "ended", "reset", "{", by="client"),
        TranscriptEntry(8, 102.0, 0, "", "", "", "", "control", "drain", ""),
        TranscriptEntry(9, 102.0, 8, "", "::1", "", "", "accepted", "", ""),
        TranscriptEntry(10, 102.0, 8, "", "::1", "", "", "not_secured", "plain", "plain text"),
    ]
    assert list(lines(entries)) == [
        "    0.000 #7    -                    -- connected from ::1 (tcp)",
        "    0.250 #7    a/u                  -> {}",
        "    1.500 #7    a                    !! late delay",
        "    1.500 #7    a/u                  <- {\\n}",
        "    2.000 #7    a/u                  <~ sent (decided at 1.500): {",
        "    2.000 #7    a/u                  ~> not read: {}",
        "    2.000 #7    a/u                  -- ended by the client: reset; unfinished: {",
        "    2.000       -                    ** drain",
        "    2.000 #8    -                    -- accepted from ::1",
        "    2.000 #8    -                    !! no TLS: plain text",
    ]


def _record(transcript: RelayTranscript, count: int) -> None:
    connection, publish = MemoryRelay().client().session.state, Subscribers()
    transcript.listen(publish)
    for number in range(count):
        publish(Disconnected(connection, reset=False) if number % 2 else Connected(connection))
