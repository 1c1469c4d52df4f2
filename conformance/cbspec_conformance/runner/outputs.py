"""The files of a run: results, fingerprint, failures and baseline. An error is reported and loses no other file."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cbspec_conformance.failures.failure import failures_of, write_all
from cbspec_conformance.judging.findings import Finding
from cbspec_conformance.judging.verdicts import Verdict
from cbspec_conformance.reporting.fingerprint import write_fingerprint
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.reporting.results import write_results
from cbspec_conformance.runner.options import Options, case_options


def write_outputs(
    options: Options,
    result: RunResult,
    findings: Sequence[Finding],
    verdicts: Sequence[Verdict],
    reporter: pytest.TerminalReporter,
) -> None:
    """Write every file that the options ask for. `verdicts` are those before the baseline was applied."""
    wanted = (
        ("--results", options.results, write_results),
        ("--fingerprint", options.fingerprint, write_fingerprint),
    )
    for option, file, write in wanted:
        if file is not None:
            try:
                write(result, file)
            except OSError as error:
                _not_written(reporter, option, error)
    _write_failures(options, result, findings, reporter)
    _write_baseline(options, result, verdicts, reporter)


def _write_failures(
    options: Options, result: RunResult, findings: Sequence[Finding], reporter: pytest.TerminalReporter
) -> None:
    if options.failures is None:
        return
    address = str(result.profile.target.address)
    failures = failures_of(findings, address, result.facts.transport, case_options(options))
    try:
        write_all(failures, options.failures)
    except OSError as error:
        _not_written(reporter, "--failures", error)
        return
    if failures:
        command = f"cbspec replay {options.failures} --target {address}"
        reporter.write_line(f"Run the {len(failures)} failures again: {command}")


def _write_baseline(
    options: Options, result: RunResult, verdicts: Sequence[Verdict], reporter: pytest.TerminalReporter
) -> None:
    file = options.write_baseline
    if file is None:
        return
    if result.interrupted or result.kit_errors:
        why = "the run was interrupted" if result.interrupted else "the kit had errors, which no baseline excuses"
        reporter.write_line(f"--write-baseline: nothing was written: {why}", red=True)
        return
    new = options.baseline.updated(verdicts, result.stale, should=options.fail_on_should)
    try:
        new.write(file)
    except OSError as error:
        _not_written(reporter, "--write-baseline", error)
    else:
        reporter.write_line(f"{file}: {len(new.entries)} known failures; give a reason for each in the file")


def _not_written(reporter: pytest.TerminalReporter, option: str, error: OSError) -> None:
    reporter.write_line(f"{option}: {error.filename}: {error.strerror}; the file was not written", red=True)
