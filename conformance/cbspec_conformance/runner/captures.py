"""The capture file of a run: a worker attaches the connections of a failing case, the controller writes them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from cbspec.keylog import VARIABLE, key_log, use_key_log
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.capture import CapturedConnection
from cbspec_conformance.record.excerpt import decisive, excerpt
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.reporting.pcapng import PcapngFile
from cbspec_conformance.runner.options import Options
from cbspec_conformance.target.findings_log import FindingsLog

CAPTURED: Final = "cbspec_captured"
"""The attribute of a report that carries connections from a worker to the controller."""

_BY_HAND: Final = 8  # connections of the suite's own TLS client that are kept, the last ones


def captured(log: FindingsLog, own: Sequence[Exchange], findings: Sequence[Finding]) -> bytes | None:
    """Return the connections of a case's failing exchanges, or None if it has no failure or keeps no bytes.

    `own` are the exchanges of the case's own failure.
    """
    transcript, failed = log.transcript, [each for each in findings if each.outcome is Outcome.FAILED]
    if transcript.captures is None or not failed:
        return None
    times: dict[int, float] = {}
    for exchanges in (own, *log.breached) if log.breached else (own,):
        request = decisive(transcript, exchanges)
        for record in excerpt(transcript, exchanges, parallel=True):
            mine = request is not None and request.connection == record.connection
            times[record.connection] = (request.at + transcript.epoch) if request is not None and mine else 0.0
    comment = "\n".join(f"{each.requirement}: expected {each.expected}; seen: {each.seen}" for each in failed)
    found = [each for each in transcript.captures.connections if each.number in times]
    found = found or [each for each in transcript.captures.connections if not each.number][-_BY_HAND:]
    for each in found:
        each.comment, each.decisive = f"{log.case}\n{comment}", times.get(each.number, 0.0)
    return msgspec.msgpack.encode(found)


class CaptureFile:
    """The file of --pcapng in the controller. Without a key log of the user, keys are in a temporary one.

    `error` is a sentence about a failure to write. Raises pytest.UsageError if the key log is no regular file.
    """

    def __init__(self, file: Path, about: str) -> None:
        self.error = ""
        self._name = file
        self._own: Path | None = None
        if not key_log():
            descriptor, name = tempfile.mkstemp(prefix="cbspec-keys-")
            os.close(descriptor)
            self._own = Path(name)
            use_key_log(self._own)
        if not Path(key_log()).is_file():
            raise pytest.UsageError(f"--pcapng: {key_log()} is no regular file: name another one with --keylog")
        self._file = PcapngFile(file, about, Path(key_log()))

    def add(self, report: pytest.TestReport) -> None:
        """Write the connections that a report carries, and take them from it."""
        data = vars(report).pop(CAPTURED, None)
        if data is not None and not self.error:
            try:
                self._file.add(msgspec.msgpack.decode(data, type=list[CapturedConnection]))
            except OSError as error:
                self.error = f"--pcapng: {self._name}: {error.strerror}; the file is not complete"

    def close(self) -> None:
        """Close the file, and delete a temporary key log."""
        self._file.close()
        if self._own is not None:
            self._own.unlink(missing_ok=True)
            os.environ.pop(VARIABLE, None)


def capture_for(options: Options, config: pytest.Config, judged: str) -> CaptureFile | None:
    """Return the file of --pcapng, which is closed at the end of the run; None if none is wanted."""
    if options.pcapng is None or config.option.collectonly:
        return None
    file = CaptureFile(options.pcapng, f"cbspec verify {judged}")
    config.add_cleanup(file.close)
    return file
