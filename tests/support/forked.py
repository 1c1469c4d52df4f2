"""Commands of the kit in processes forked from a server that has imported it: imports take longer than most commands.

The documents' sessions start the same commands as programs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import cbspec_conformance.relay
from cbspec.cli import main

_GRACE = 10.0  # seconds for a relay to end
_START = 60.0  # seconds for its start


class NoStart(Exception):
    """A relay doesn't start; the text is the end of its log."""


def fork_server() -> ForkServerContext:
    """Return a server that has imported the suite and the simulator."""
    context = multiprocessing.get_context("forkserver")
    cases = pkgutil.walk_packages(cbspec_conformance.relay.__path__, "cbspec_conformance.relay.")
    parts = ("cbspec_conformance.runner.entry", "cbspec_conformance.runner.plugin", "cbspec_simulator.app.command")
    context.set_forkserver_preload([*parts, *(module.name for module in cases), __name__])
    return context


@contextlib.contextmanager
def forked_relay(context: ForkServerContext, folder: Path, *options: str) -> Iterator[Path]:
    """Run `cbspec simulate` for the context, with its files in `folder`; yield its profile. Raises NoStart."""
    profile = folder / "profile.toml"
    ready, output = context.Pipe(duplex=False)
    command = ("simulate", "--port", "0", "--json", "--grace", "0.1", "--profile-out", str(profile), *options)
    process = context.Process(target=_serve, args=(command, output, folder))
    process.start()
    output.close()
    try:
        if not (ready.poll(_START) and os.read(ready.fileno(), 1)):
            log = (folder / "relay.log").read_text(errors="replace")
            raise NoStart(f"the relay doesn't start: {log.strip()[-300:]}")
        yield profile
    finally:
        ready.close()
        process.terminate()
        process.join(_GRACE)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(command: Sequence[str], output: Connection, folder: Path) -> None:
    os.dup2(output.fileno(), 1)
    output.close()
    _write_to(folder / "relay.log", 2)
    os.chdir(folder)
    sys.exit(main(command))


def forked(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], outputs: Path, patience: float | None
) -> int:
    """Run `cbspec` in `folder`; return its exit code. It writes the files `out` and `err` in the folder `outputs`.

    `patience` is the number of seconds that it may take. Raises TimeoutError.
    """
    process = fork_server().Process(target=_command, args=(arguments, folder, dict(environment), outputs))
    process.start()
    process.join(patience)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"cbspec {' '.join(arguments)} took more than {patience} s")
    return process.exitcode


def _command(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], outputs: Path) -> None:
    _write_to(outputs / "out", 1)
    _write_to(outputs / "err", 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))


def _write_to(file: Path, number: int) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(descriptor, number)
    os.close(descriptor)
