"""A simulator as a process of its own, seen from outside: its profile, its controls, and what the system says of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cbspec.profile import Profile, load

PATIENCE = 30.0
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds: resident memory in KiB, open descriptors, processor seconds so far."""

    memory: float
    descriptors: int
    processor: float


@dataclass(frozen=True, slots=True)
class Served:
    """The simulator. `control` is where its controls are, `pid` its process."""

    pid: int
    profile_file: Path
    control: str

    @property
    def profile(self) -> Profile:
        """Everything that may be known of it."""
        return load(self.profile_file)

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON value
        """Call the controls; return what they answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.control + path, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            said = answer.read()
        return json.loads(said) if said else None

    def holding(self) -> Holding:
        """Return what the process holds now. Source: proc(5)."""
        folder = Path("/proc") / str(self.pid)
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _KIB
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        processor = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        return Holding(resident, len(list((folder / "fd").iterdir())), processor)


@contextlib.contextmanager
def served(folder: Path, config: str, *options: str) -> Iterator[Served]:
    """Serve by a configuration (TOML) until the context is left; the process' words are in `folder`."""
    file, profile, log = folder / "relay.toml", folder / "profile.toml", folder / "relay.log"
    file.write_text(config)
    command = [sys.executable, "-P", "-m", "cbspec", "simulate", "--port", "0", "--json", "--profile-out", str(profile)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--grace", "0.1", "--config", str(file), *options], stdout=subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the simulator doesn't start: {log.read_text(errors='replace')[-300:]}")
        yield Served(process.pid, profile, json.loads(ready)["control"])
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
