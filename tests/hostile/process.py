"""A simulator in a process of its own, as people run it, with limits of the system that a test chooses."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Running:
    """A simulator that runs: its address, its process, and the file that its log is in."""

    address: tuple[str, int]
    process: subprocess.Popen[str]
    log: Path

    @property
    def said(self) -> str:
        """What is in the log so far."""
        return self.log.read_text(encoding="utf-8")

    @property
    def resident(self) -> float:
        """MiB of memory that it holds at the moment."""
        return self._status("VmRSS")

    @property
    def peak(self) -> float:
        """MiB of memory that it held at most."""
        return self._status("VmHWM")

    @property
    def seconds(self) -> float:
        """Processor time that it took so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def _status(self, name: str) -> float:
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii"))
        return int(found[1]) / 1024 if found else 0.0


@contextlib.contextmanager
def running(folder: Path, *options: str, limit: tuple[int, int] | None = None) -> Iterator[Running]:
    """Run `cbspec simulate` with options; `limit` is one of the system's (a RLIMIT_ of `resource`, and its value)."""
    log = folder / "log"
    command = [sys.executable, "-m", "cbspec", "simulate", "--port", "0", *options]

    def confine() -> None:
        if limit is not None:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stream, text=True, preexec_fn=confine if limit else None
        )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"on 127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None, log.read_text(encoding="utf-8")
            yield Running(("127.0.0.1", int(found[1])), process, log)
        finally:
            process.terminate()
            process.wait(30)
