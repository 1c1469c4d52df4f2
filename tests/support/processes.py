"""Server processes: the simulator's profile and controls, and the use of memory, descriptors and processor time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Holding:
    """Resident memory in KiB, open descriptors, and processor seconds of a process."""

    memory: float
    descriptors: int
    processor: float


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: process, folder of its files, and the line of JSON that it printed when ready."""

    process: subprocess.Popen[bytes]
    folder: Path
    ready: dict[str, Any]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.ready.get("host", "127.0.0.1"), self.ready["port"]

    @property
    def profile_file(self) -> Path:
        """The file of the simulator's profile."""
        return self.folder / "profile.toml"

    @property
    def log_text(self) -> str:
        """The text of the log file."""
        return (self.folder / "relay.log").read_text(errors="replace")

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON value
        """Call the control API; return the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = self.ready["control"] + path
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            text = answer.read()
        return json.loads(text) if text else None

    def holding(self) -> Holding:
        """Return the current resources of the process. Source: proc(5)."""
        resident = int((self._system / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
        threads = [(task / "schedstat").read_text().split()[0] for task in (self._system / "task").iterdir()]
        return Holding(resident, len(list((self._system / "fd").iterdir())), sum(map(int, threads)) / 1e9)

    @property
    def peak(self) -> float:
        """Peak memory of the process in KiB."""
        return float((self._system / "status").read_text().partition("VmHWM:")[2].split()[0])

    @property
    def _system(self) -> Path:
        return Path("/proc") / str(self.process.pid)


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, limit: tuple[int, int] | None = None) -> Iterator[Served]:
    """Run a server for the context, with its log in `folder`; it prints a line of JSON with its port when it listens.

    `limit` is a resource limit (a RLIMIT_ constant and its value).
    """

    def set_limit() -> None:
        if limit is not None:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    with (folder / "relay.log").open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, preexec_fn=set_limit if limit else None
        )
    with process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if not ready:
                raise RuntimeError(f"no start: {(folder / 'relay.log').read_text(errors='replace')[-300:]}")
            yield Served(process, folder, json.loads(ready))
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def served(folder: Path, *options: str, config: str = "", limit: tuple[int, int] | None = None) -> Iterator[Served]:
    """Run `cbspec simulate` for the context, with its files in `folder`; `config` is TOML, `limit` as above."""
    command = [sys.executable, "-P", "-m", "cbspec", "simulate", "--port", "0", "--json", "--grace", "0.1"]
    command += ["--profile-out", str(folder / "profile.toml")]
    if config:
        (folder / "relay.toml").write_text(config)
        command += ["--config", str(folder / "relay.toml")]
    with running([*command, *options], folder, limit) as relay:
        yield relay


def program(name: str, package: str, *, optional: bool = False) -> str:
    """Return the path of a program of Debian's; fail, or skip if `optional`, with the remedy if it is missing."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is missing: apt-get install --no-install-recommends {package}"
        if optional:
            pytest.skip(missing)
        pytest.fail(missing, pytrace=False)
    return found


def npm_file(name: str) -> Path:
    """Return a file of the packages in tests/npm. Skips outside CI if they are not installed."""
    file = Path(__file__).parents[1] / "npm" / "node_modules" / name
    if not file.exists():
        missing = f"{file} is missing: make test installs the packages of tests/npm"
        if "CI" in os.environ:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return file


def node(*arguments: str) -> str:
    """Run Node in tests/npm with its packages; return its output. Skips outside CI if they are not installed."""
    folder = Path(__file__).parents[1] / "npm"
    program_ = program("node", "nodejs", optional="CI" not in os.environ)
    if not (folder / "node_modules" / ".ready").exists():
        missing = "the packages of tests/npm are missing: make test installs them with npm"
        if "CI" in os.environ:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    command = [program_, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
