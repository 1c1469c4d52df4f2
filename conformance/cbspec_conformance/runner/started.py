"""A relay that `cbspec verify … -- COMMAND` starts, keeps up during the run, and stops.

The process has a process group of its own, so that its children end with it and Ctrl-C doesn't reach it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cbspec.options import filled, unknown_placeholder
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.profile.profile import Endpoint, Profile
from cbspec.redact import redact
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.record.quoting import on_one_line
from cbspec_conformance.reporting.events import CaseReported
from cbspec_conformance.runner.options import PLACEHOLDERS
from cbspec_conformance.target.life import STAYS_UP

START: Final = 10.0  # seconds within which a relay accepts connections, unless --wait gives another time
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1
_GRACE: Final = 5.0  # seconds between SIGTERM and SIGKILL
_LOOK: Final = 0.05  # seconds between two looks at the process or its port
_DOWN: Final = 1.0  # seconds before a restart, in which the case that terminated the relay finds it gone
_MOST: Final = 20  # ends of the relay after which it is not started again
_FIRST_LINES, _LAST_LINES = 3, 6  # of the output since the process was started: runtimes say the error first
_TAIL: Final = 4096  # bytes of the output in which the last lines are


OF_THE_PROCESS: Final = CaseReported(
    "the relay's process", STAYS_UP, "The process of the relay stays up during the run."
)
"""The case of that finding, in the stream of results."""


class CannotStartRelay(Exception):
    """The relay's command can't be used; the text names the reason and the remedy."""


class StartedRelay:
    """The process of a relay under test, for one run.

    Arguments: `command` has placeholders; `profile` names the relay's address; `seconds` is the longest time of a
    start; `log` is the file for the relay's output, `folder` that of its certificate. Raises CannotStartRelay.
    """

    def __init__(self, command: Sequence[str], profile: Profile, seconds: float, log: Path, folder: Path) -> None:
        self._profile = profile
        self._seconds = seconds
        self._log = log
        values = _values(profile, folder)
        self._words = [filled(word, values) for word in command]
        self._environment = {f"CBSPEC_{name.upper()}": value for name, value in values.items()}
        if self._accepts():  # another process would be judged
            raise CannotStartRelay(
                f"another process listens on {profile.target.address}: end it, or name no address, so that a free "
                "port is used"
            )
        self._stopping = threading.Event()
        self._news: list[str] = []
        self.ends: list[str] = []
        self._begin = 0  # of this process's output, in the log
        self._process = self._start()
        self._watch = threading.Thread(target=self._keep_up, name="relay", daemon=True)

    def ready(self) -> Profile:
        """Wait until the relay accepts connections; return its profile. Raises NotExercised if it doesn't."""
        deadline = time.monotonic() + self._seconds
        while not self._accepts():
            if self._process.poll() is not None:
                how = f"{self._ended()} before it accepted connections{self._last_words()}"
                raise NotExercised(f"nothing to judge: the relay {how}")
            if time.monotonic() > deadline:
                address = self._profile.target.address
                reason = f"accepts no connection at {address} after {self._seconds:g} s; --wait SECONDS waits longer"
                raise NotExercised(f"nothing to judge: the relay {reason}{self._last_words()}")
            time.sleep(_LOOK)
        self._watch.start()
        return self._profile

    def news(self) -> list[str]:
        """Return the sentences about ends and restarts since the last call."""
        news, self._news = self._news, []
        return news

    def finding(self, found: Sequence[Finding]) -> Finding | None:
        """Return the finding about a relay that ended by itself, or None if it didn't or another one tells more."""
        if not self.ends or any(each.requirement == STAYS_UP and each.outcome is Outcome.FAILED for each in found):
            return None
        seen = f"the process {self.ends[0]}"
        return Finding(STAYS_UP, Outcome.FAILED, OF_THE_PROCESS.name, "", "a relay that stays up", seen)

    def summary(self) -> str:
        """Return a sentence about the restarts."""
        times = f"{len(self.ends)} times" if len(self.ends) > 1 else "once"
        return f"The relay ended by itself {times} and was started again. First it {self.ends[0]}."

    def stop(self) -> None:
        """End the process and its children."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._watch.is_alive():
            self._watch.join()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            with self._log.open("ab") as output:
                self._begin = output.tell()
                return subprocess.Popen(  # noqa: S603 - the user's own command
                    self._words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )
        except OSError as error:
            reason = f"{error.filename or self._words[0]}: {error.strerror}"
            raise CannotStartRelay(f"{reason}; give a command that can be run in this folder") from None

    def _keep_up(self) -> None:
        """Start the process again whenever it ends before the run."""
        while not self._stopping.is_set():
            self._process.wait()
            if self._stopping.is_set():
                return
            self.ends.append(self._ended() + self._last_words())
            if len(self.ends) >= _MOST:
                self._news.append(f"The relay {self.ends[-1]}. It stays down: it has ended {_MOST} times.")
                return
            if self._stopping.wait(_DOWN):
                return
            self._news.append(f"The relay {self.ends[-1]}. It was started again.")
            self._process = self._start()
            while not (self._stopping.wait(_LOOK) or self._process.poll() is not None or self._accepts()):
                pass

    def _accepts(self) -> bool:
        address = self._profile.target.address or Endpoint("", 0)
        try:
            tcp_connect(address, None, self._profile.target.timeout).close()
        except Unreachable:
            return False
        return True

    def _ended(self) -> str:
        code = self._process.returncode
        return f"was terminated by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _last_words(self) -> str:
        with self._log.open("rb") as file:
            file.seek(max(self._begin, file.seek(0, os.SEEK_END) - _TAIL))
            output = redact(file.read().decode(errors="replace"))
        shown = on_one_line(output.splitlines(), _FIRST_LINES, _LAST_LINES)
        return f"; its output: {shown}" if shown else ""

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@contextlib.contextmanager
def started_relay(command: str, profile: Profile, wait: float, log: Path | None) -> Iterator[StartedRelay]:
    """Start a relay by a command line; stop it at the end. Raises CannotStartRelay."""
    words = _split(command)
    with tempfile.TemporaryDirectory(prefix="cbspec-") as name:
        folder = Path(name)
        if log is not None:
            log.write_bytes(b"")
        relay = StartedRelay(words, profile, wait or START, log or folder / "relay.log", folder)
        try:
            yield relay
        finally:
            relay.stop()


def _end_with_parent() -> None:
    """Let the kernel end this process if the suite is killed. Source: prctl(2)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _split(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CannotStartRelay(f"--relay-command: {error}") from None
    for word in words:
        if reason := unknown_placeholder(word, PLACEHOLDERS):
            raise CannotStartRelay(f"the relay's command: {reason}")
    if not words:
        raise CannotStartRelay("the relay's command is empty; give it after --")
    return words


def _values(profile: Profile, folder: Path) -> dict[str, str]:
    """Return the values of the placeholders; the certificate and its key are written to files in `folder`."""
    address = profile.target.address or Endpoint("", 0)
    chain, private = development_ca().issue(*dict.fromkeys([address.host, "localhost"]))
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(chain)
    key.touch(mode=0o600)
    key.write_bytes(private)
    values = {"host": address.host, "port": address.port, "cert": cert, "key": key, "secret": DEVELOPMENT_SECRET}
    return {name: str(values[name]) for name in PLACEHOLDERS}
