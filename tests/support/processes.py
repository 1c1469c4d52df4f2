"""A simulator process: its profile, its control API, and its use of memory, descriptors and processor time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cbspec.profile.profile import Profile, load

PATIENCE = 30.0
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Holding:
    """Resident memory in KiB, open descriptors, and processor seconds of a process."""

    memory: float
    descriptors: int
    processor: float


@dataclass(frozen=True, slots=True)
class Served:
    """A running simulator: process, profile file, log file, and the line of JSON that it printed when ready."""

    process: subprocess.Popen[bytes]
    profile_file: Path
    log: Path
    ready: dict[str, Any]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.ready["host"], self.ready["port"]

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return load(self.profile_file)

    @property
    def log_text(self) -> str:
        """The text of the log file."""
        return self.log.read_text(errors="replace")

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
        folder = self._system
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _KIB
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        processor = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        return Holding(resident, len(list((folder / "fd").iterdir())), processor)

    @property
    def peak(self) -> float:
        """Peak memory of the process in KiB."""
        return float((self._system / "status").read_text().partition("VmHWM:")[2].split()[0])

    @property
    def _system(self) -> Path:
        return Path("/proc") / str(self.process.pid)


@contextlib.contextmanager
def served(folder: Path, *options: str, config: str = "", limit: tuple[int, int] | None = None) -> Iterator[Served]:
    """Run `cbspec simulate` for the context, with its files in `folder`.

    `config` is TOML; `limit` is a resource limit (a RLIMIT_ constant and its value).
    """
    file, profile, log = folder / "relay.toml", folder / "profile.toml", folder / "relay.log"
    command = [sys.executable, "-P", "-m", "cbspec", "simulate", "--port", "0", "--json", "--profile-out", str(profile)]
    if config:
        file.write_text(config)
        command += ["--config", str(file)]

    def set_limit() -> None:
        if limit is not None:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--grace", "0.1", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=set_limit if limit else None,
        )
    with process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if not ready:
                raise RuntimeError(f"the simulator did not start: {log.read_text(errors='replace')[-300:]}")
            yield Served(process, profile, log, json.loads(ready))
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
