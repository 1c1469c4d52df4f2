"""The embedded simulator: a process of its own, judged through its socket and a profile file like any other relay."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cbspec.profile.profile import Profile, load


class SimulatorFailed(Exception):
    """The simulator didn't start; the text is its own."""


@contextlib.contextmanager
def embedded_simulator() -> Iterator[Profile]:
    """Start a simulator on free ports, yield the profile that it wrote, and end it.

    Raises SimulatorFailed.
    """
    with beginning_simulator() as ready:
        yield ready()


@contextlib.contextmanager
def beginning_simulator() -> Iterator[Callable[[], Profile]]:
    """Begin to start a simulator on free ports, and end it behind; yield what returns its profile once it is there.

    That raises SimulatorFailed. Until it is asked for there is time for other things: a start takes half a second.
    """
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        profile = Path(folder) / "profile.toml"
        command = [
            sys.executable,
            "-P",
            "-m",
            "cbspec",
            "simulate",
            "--port",
            "0",
            "--json",
            "--profile-out",
            str(profile),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own
            try:
                yield partial(_ready, process, profile)
            finally:
                process.kill()  # nothing of it is to stay: to end in good order would take as long as its start


def _ready(process: subprocess.Popen[bytes], profile: Path) -> Profile:
    if not (process.stdout and process.stdout.readline()):
        raise SimulatorFailed(_last_words(process))
    return load(profile)


def _last_words(process: subprocess.Popen[bytes]) -> str:
    _, errors = process.communicate(timeout=10)
    return f"the embedded simulator didn't start: {errors.decode(errors='replace').strip() or 'it said nothing'}"
