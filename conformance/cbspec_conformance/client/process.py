"""The client under test as a process: started, read, stopped, and never left behind.

The process gets a process group of its own, so that its children end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cbspec.redact import redact
from cbspec_conformance.client.observed import Exit, OutputLine

_LONGEST_LINE: Final = 64 * 1024
_MOST_OUTPUT: Final = 20_000
"""Lines of output that are kept: a client that loops must not fill the memory."""

_KILLED: Final = 2.0  # seconds for the kernel to end a killed process


class CannotStart(Exception):
    """The command can't be run; the text names it and the reason."""


class ClientProcess:
    """One run of the client. `now` returns the seconds since the situation began; `changed` is called on each event.

    `secrets` are texts that must not appear in the output: `leaks` are the lines that had one, redacted.
    """

    def __init__(self, now: Callable[[], float], changed: Callable[[], None], secrets: Sequence[str]) -> None:
        self.output: list[OutputLine] = []
        self.leaks: list[OutputLine] = []
        self.exit: Exit | None = None
        self._now = now
        self._changed = changed
        self._secrets = [secret for secret in secrets if secret]
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._asked: float | None = None
        self._killed = False
        self._ended: asyncio.Task[None] | None = None

    async def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None) -> None:
        """Start the command. Raises CannotStart."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                cwd=folder,
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CannotStart(f"{command[0]}: {reason}; give a command that can be run in this folder") from None
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        self._readers = [
            asyncio.create_task(self._read(name, stream)) for name, stream in streams.items() if stream is not None
        ]
        self._ended = asyncio.create_task(self._wait(self._process))

    async def stop(self, seconds: float) -> None:
        """Ask the process to end by SIGTERM, and kill it and its children after `seconds`."""
        process = self._process
        if process is None or self._ended is None:
            return
        if self.exit is None:
            self._asked = self._now()
            self._send(signal.SIGTERM)
            await asyncio.wait([self._ended], timeout=seconds)
            if self.exit is None:
                self._killed = True
        self._send(signal.SIGKILL)  # also the children that are left in its group
        await asyncio.wait([self._ended], timeout=_KILLED)
        await asyncio.wait(self._readers, timeout=_KILLED)
        for task in (*self._readers, self._ended):
            task.cancel()
        await asyncio.gather(*self._readers, self._ended, return_exceptions=True)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process is not None:
                os.killpg(self._process.pid, number)

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        name = signal.Signals(-code).name if code < 0 else ""
        self.exit = Exit(self._now(), None if name else code, name, self._asked, self._killed)
        if self._asked is None:
            # The last lines may still be in the pipe; a child that keeps it open must not delay the verdict.
            await asyncio.wait(self._readers, timeout=0.2)
        self._changed()

    async def _read(self, name: str, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the limit; the reader has dropped it
                continue
            if not line:
                return
            if len(self.output) < _MOST_OUTPUT:
                self._add(name, line.decode(errors="replace").rstrip("\r\n"))

    def _add(self, name: str, text: str) -> None:
        at = self._now()
        hidden = text
        for secret in self._secrets:
            hidden = hidden.replace(secret, "<secret>")
        hidden = redact(hidden)
        line = OutputLine(at, name, hidden)
        self.output.append(line)
        if any(secret in text for secret in self._secrets):
            self.leaks.append(line)
        self._changed()
