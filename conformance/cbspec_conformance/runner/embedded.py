"""The embedded simulator: a separate process, judged through its socket and a profile file like any other relay."""

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
    """The simulator did not start; the text contains its output."""


@contextlib.contextmanager
def embedded_simulator() -> Iterator[Callable[[], Profile]]:
    """Start a simulator on free ports; yield a function that waits for it and returns its profile.

    That function raises SimulatorFailed. The start takes half a second, during which the caller can do other work.
    """
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        profile = Path(folder) / "profile.toml"
        command = [sys.executable, "-P", "-m", "cbspec", "simulate", "--port", "0", "--json", "--profile-out"]
        with subprocess.Popen([*command, profile], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own
            try:
                yield partial(_ready, process, profile)
            finally:
                process.kill()  # there is no state to save, and a graceful stop takes as long as the start


def _ready(process: subprocess.Popen[bytes], profile: Path) -> Profile:
    if process.stdout and process.stdout.readline():
        return load(profile)
    _, errors = process.communicate(timeout=10)
    raise SimulatorFailed(
        f"the embedded simulator did not start: {errors.decode(errors='replace').strip() or 'no output'}"
    )
