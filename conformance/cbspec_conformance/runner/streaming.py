"""The stream of results of a run that is going on."""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from cbspec.exit_codes import ExitCode
from cbspec.redact import redact
from cbspec_conformance.judging.verdicts import Finding
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.events import FORMAT, CaseReported, RunEnded, RunStarted
from cbspec_conformance.reporting.formats import write_reports
from cbspec_conformance.reporting.github import summary_file, write_summary
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.reporting.stream import StreamWriter, case_lines, listed
from cbspec_conformance.reporting.subject import JudgedSubject
from cbspec_conformance.runner.options import Options


class RunStream:
    """Writes the stream of a run: to the file of --results, or for reports alone to a temporary one.

    `began` is the time of the run's begin in seconds since 1970. `has_begun` says that the lines before the first case
    are written. Raises pytest.UsageError if the file can't be opened.
    """

    def __init__(self, options: Options, began: float) -> None:
        self._options = options
        self._is_kept = options.results is not None
        self._began = datetime.datetime.fromtimestamp(began, datetime.UTC)
        self.has_begun = False
        self._file = options.results or _temporary()
        try:
            self._writer = StreamWriter(self._file)
        except OSError as error:
            raise pytest.UsageError(f"--results: {self._file}: {error.strerror}; name another file") from None

    def begin(self, subject: JudgedSubject, **more: Any) -> None:  # noqa: ANN401 - members of RunStarted
        """Write the lines before the first case; `more` are the members of `RunStarted` that options don't give."""
        self.has_begun = True
        options, baseline, catalogue = self._options, self._options.baseline, self._options.catalogue
        started = RunStarted(
            FORMAT,
            metadata.version("cbspec"),
            catalogue.specification,
            catalogue.name,
            self._began,
            subject,
            baseline.today,
            requirement_set=catalogue.digest(subject.role),
            options=options.given,
            fail_on_should=options.fail_on_should,
            require_all=options.require_all,
            only=options.only,
            baseline_file=str(baseline.path or ""),
            baseline=tuple(baseline.entries.values()),
            **more,
        )
        self._writer.write(started, *listed(catalogue.of(subject.role)))

    def preflight(self, transcript: Transcript, findings: Sequence[Finding]) -> None:
        """Write the lines of the preflight."""
        about = "Connect, check TLS and certificate, and send one request of each type."
        self.add(case_lines(CaseReported("preflight", "", about), transcript, findings, self._began.timestamp()))

    def add(self, lines: bytes) -> None:
        """Write the lines of a case."""
        self._writer.add(lines)

    def end(self, result: RunResult, reason: str = "", code: ExitCode | None = None) -> list[str]:
        """Write the last line and the reports; return errors.

        `reason` says why there is nothing to judge, and `code` is the exit code then.
        """
        seconds = (datetime.datetime.now(datetime.UTC) - self._began).total_seconds()
        verdicts = {verdict.requirement.id: verdict.outcome for verdict in result.verdicts}
        errors = tuple(map(redact, result.kit_errors))
        stale = tuple(result.stale)
        ended = RunEnded(
            result.green,
            result.exit_code if code is None else code,
            round(seconds, 3),
            verdicts,
            result.interrupted,
            stale,
            errors,
            redact(reason),
        )
        self._writer.write(ended)
        self._writer.close()
        if self._writer.error:
            left_out = "; no report was written" if self._options.reports else ""
            return [f"--results: {self._writer.error}{left_out}"]
        reports = write_reports(self._file, self._options.reports, self._options.against)
        return [*reports, *write_summary(self._file, self._options.against)]

    def close(self) -> None:
        """Close the stream, and remove a temporary file."""
        self._writer.close()
        if not self._is_kept:
            with contextlib.suppress(OSError):
                self._file.unlink()


def wants_stream(options: Options) -> bool:
    """Whether a stream is needed: for a file, for reports, or for the summary of a job."""
    return options.results is not None or bool(options.reports) or summary_file() is not None


def stream_for(options: Options, config: pytest.Config, began: float) -> RunStream | None:
    """Return the stream of a run, or None if the options want none."""
    if not wants_stream(options) or config.option.collectonly:
        return None
    stream = RunStream(options, began)
    config.add_cleanup(stream.close)
    return stream


def _temporary() -> Path:
    number, name = tempfile.mkstemp(prefix="cbspec-", suffix=".jsonl")
    os.close(number)
    return Path(name)
