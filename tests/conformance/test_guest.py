"""The suite as a guest of a bad host: whatever that does, time and memory are bounded, and the report is there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbspec.profile.profile import load
from tests.conformance.commands import PATIENCE, simulator, verdict

MOST_MEMORY = 400.0
"""MiB. A run against a good host takes a quarter of it, and the longest message that is read has sixteen."""

SECONDS = 90.0
"""What a run of these cases may take; all but the silent host's take a tenth."""

CASES = "test_1_hello or test_tunnel or test_every_local_port or test_4_heartbeat or test_one_answer_to_a_request"

MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=2)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class GuestRun:
    """How a run ended: its exit code, all that it said, the most memory that it took (MiB) and its seconds."""

    code: int
    text: str
    memory: float
    seconds: float


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give the port of a relay that conforms."""
    with simulator(tmp_path_factory.mktemp("relay")) as profile:
        address = load(profile).target.address
        assert address is not None
        yield address.port


@contextlib.contextmanager
def host(kind: str, relay: int, folder: Path, transport: str) -> Iterator[int]:
    """Put a bad host in front of the relay; give its port."""
    command = [sys.executable, "-m", "tests.conformance.host", kind, str(relay), str(folder), transport]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def judged(kind: str, relay: int, folder: Path, transport: str) -> GuestRun:
    """Run the suite against a bad host."""
    command = [sys.executable, "-m", "cbspec", "verify", "--effort", "quick", "--transport", transport]
    command += ["-p", "no:randomly", "-k", CASES]
    with host(kind, relay, folder, transport) as port, tempfile.TemporaryFile() as said:
        began = time.monotonic()
        # A process's peak holds what its parent held, so that one stands between which holds next to nothing.
        process = subprocess.Popen(
            [sys.executable, "-c", MEASURED, *command, "--target", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=said,
            cwd="/",
            process_group=0,
        )
        try:
            measured, _ = process.communicate()
        finally:
            if process.returncode is None:  # the test was given up: nobody is to judge on
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        run = GuestRun(process.returncode, said.read().decode(), int(measured) / 1024, time.monotonic() - began)
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert run.seconds < min(SECONDS, PATIENCE) * busy
    assert run.memory < MOST_MEMORY
    assert "Requirements by chapter" in run.text
    assert "Mistakes of the kit" not in run.text
    assert "Traceback" not in run.text
    return run


@pytest.fixture(params=["tcp", "websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """Give each transport."""
    return str(request.param)


@pytest.mark.parametrize("kind", ["nothing", "drips", "explains"])
def test_what_is_odd_but_right_is_not_accused(kind: str, transport: str, relay: int, tmp_path: Path) -> None:
    run = judged(kind, relay, tmp_path, transport)
    assert verdict(run.text, "failed") == 0, run.text
    assert verdict(run.text, "inconclusive") == 0, run.text
    assert verdict(run.text, "passed") > 10


@pytest.mark.parametrize(
    ("kind", "broken"), [("floods", "CB-MSG-004"), ("swells", "CB-MSG-002"), ("babbles", "CB-MSG-")]
)
def test_who_sends_too_much_is_blamed_for_it(
    kind: str, broken: str, transport: str, relay: int, tmp_path: Path
) -> None:
    run = judged(kind, relay, tmp_path, transport)
    assert run.code == 1, run.text
    assert f"did not pass: {broken}" in run.text or f", {broken}" in run.text


@pytest.mark.parametrize(
    ("kind", "said"),
    [("dies", "is gone"), ("hangs", "takes connections, but answers no hello any more")],
)
def test_who_is_there_no_more_ends_the_run_soon(
    kind: str, said: str, transport: str, relay: int, tmp_path: Path
) -> None:
    run = judged(kind, relay, tmp_path, transport)
    assert run.code == 1, run.text
    assert said in " ".join(run.text.split())
    assert verdict(run.text, "failed") == (kind == "dies")
    assert verdict(run.text, "passed") > 0
