"""A relay that the suite starts: restarted, shown, and never left behind."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cbspec.exit_codes import ExitCode
from cbspec.profile.profile import Endpoint, resolve
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.runner.started import started_relay
from tests.conformance.commands import verdict, verify
from tests.support.processes import served

SIMULATOR = ("--", sys.executable, "-m", "cbspec", "simulate", "--port", "{port}")

# Forwards connections to the simulator, which it stands for; in its first life it ends at the connection `most`.
RELAY = """
import asyncio, os, sys
port, inner, lives, most = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with open(lives, "a+") as file:
    first = file.tell() == 0
    file.write("x")
count = 0

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def serve(reader, writer):
    global count
    count += 1
    if first and count > most:
        print("panic: the table of connections is full", flush=True)
        os._exit(3)
    there, back = await asyncio.open_connection("127.0.0.1", inner)
    await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()

asyncio.run(main())
"""


def test_a_relay_that_terminates_is_started_again_and_blamed(tmp_path: Path) -> None:
    script, lives, log = (tmp_path / name for name in ("relay.py", "lives", "relay.log"))
    script.write_text(RELAY)
    with served(tmp_path) as inner:
        command = ("--", sys.executable, str(script), "{port}", str(inner.address[1]), str(lives), "40")
        done = verify("-k", "message_types", "--effort", "quick", "--relay-log", str(log), *command)
    assert done.code == ExitCode.NOT_CONFORMING, done.text
    assert verdict(done.text, "failed") == 1
    assert re.search(r"^CB-ROB-002 a relay that stays up", done.text, re.MULTILINE)
    said = " ".join(done.text.split())
    assert "The relay ended by itself once and was started again" in said
    assert "ended with exit code 3; its output: panic: the table of connections is full. It was started" in said
    assert (lives.read_text(), log.read_text().count("panic")) == ("xx", 1)
    assert verdict(done.text, "passed") > 20  # after the restart
    (address,) = set(re.findall(r"^127\.0\.0\.1:(\d+) \(", done.text, re.MULTILINE))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address)))


def test_an_end_that_no_case_noticed_is_a_finding() -> None:
    profile = resolve(None, Endpoint("127.0.0.1", 1))
    with started_relay("sleep 60", profile, 0.0, None) as relay:
        assert relay.finding([]) is None
        relay.ends.append("ended with exit code 3")
        found = relay.finding([])
        assert found is not None
        assert (found.requirement, found.outcome) == ("CB-ROB-002", Outcome.FAILED)
        assert "exit code 3" in found.seen
        assert relay.finding([found]) is None


def test_the_certificate_and_the_secret_of_the_development_identity_suit_the_suite(tmp_path: Path) -> None:
    show = "import os, sys; sys.exit(open(sys.argv[2]).read() + os.environ['CBSPEC_PORT'])"
    done = verify("--", sys.executable, "-c", show, "{host}:{port}", "{cert}", "{key}", "{secret}")
    assert done.code == ExitCode.NOTHING_TO_JUDGE, done.text
    assert "ended with exit code 1 before it accepted connections; its output" in done.text
    assert "-----END CERTIFICATE-----" in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("./there-is-no-such-relay",), ExitCode.WRONG_USE, "there-is-no-such-relay: No such file"),
        (("true", "{prot}"), ExitCode.WRONG_USE, "unknown placeholder {prot}"),
        (("sleep", "60"), ExitCode.NOTHING_TO_JUDGE, "accepts no connection at 127.0.0.1:"),
    ],
)
def test_a_relay_that_cannot_be_judged_is_named(command: tuple[str, ...], code: ExitCode, words: str) -> None:
    done = verify("--wait", "0.2", "--", *command)
    assert (done.code, words in done.text, "Traceback" in done.text) == (code, True, False), done.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_relay_is_left_behind(number: int, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ["sh", "-c", f'echo $$ > {pid}; exec "$@"', "sh", *SIMULATOR[1:]]
    words = [sys.executable, "-m", "cbspec", "verify", "-v", "--", *command]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "PASSED" in line)
        relay = os.pidfd_open(int(pid.read_text()))
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == (ExitCode.INTERRUPTED if number == signal.SIGINT else -signal.SIGKILL), rest
    assert ("Requirements by chapter" in rest) == (number == signal.SIGINT)
    ended = select.poll()
    ended.register(relay, select.POLLIN)
    assert ended.poll(60_000), "the relay is still running"
    os.close(relay)


def test_a_relay_is_not_started_where_another_process_listens(tmp_path: Path) -> None:
    with served(tmp_path) as other:
        done = verify(str(other.address[0]) + f":{other.address[1]}", "--", "sleep", "60")
    assert done.code == ExitCode.WRONG_USE, done.text
    assert f"another process listens on 127.0.0.1:{other.address[1]}: end it" in done.text
