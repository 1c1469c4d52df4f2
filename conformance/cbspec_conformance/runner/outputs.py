"""The files of a run: fingerprint, failures and baseline. An error is reported and affects no other file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from cbspec_conformance.failures.failure import failures_of, write_all
from cbspec_conformance.judging.verdicts import Finding, Verdict
from cbspec_conformance.reporting.fingerprint import write_fingerprint
from cbspec_conformance.reporting.github import annotate
from cbspec_conformance.reporting.report import RunResult, Write, pasted
from cbspec_conformance.runner.options import Options, case_options, relay_options


def write_outputs(
    options: Options,
    result: RunResult,
    findings: Sequence[Finding],
    verdicts: Sequence[Verdict],
    line: Write,
    *,
    narrowed: bool,
    quiet: bool = False,
    repeat: tuple[str, ...] = (),
) -> None:
    """Write the files that the options name.

    `verdicts` are those before the baseline was applied; `narrowed` says that a selector may have dropped cases, and
    `quiet` that only errors are reported, with `line`. `repeat` are the options that make a case repeat the same
    exchanges (none: those of the suite).
    """

    def failures(folder: Path) -> str:
        address = result.subject.address
        transport, run = result.subject.transport, repeat or case_options(options)
        found = failures_of(findings, address, transport, run, only=options.only, narrowed=narrowed)
        write_all(found, folder)
        words = ["cbspec", "replay", str(folder), *relay_options(options)]
        return (
            "\n".join(["Replay the failures:" if len(found) > 1 else "Replay the failure:", *pasted(shlex.join(words))])
            if found
            else ""
        )

    def baseline(file: Path) -> str:
        if result.interrupted or result.kit_errors:
            why = "the run was interrupted" if result.interrupted else "the kit had errors, which no baseline excuses"
            return f"--write-baseline: nothing was written: {why}"
        new = options.baseline.updated(verdicts, result.stale, should=options.fail_on_should)
        new.write(file)
        return f"{file}: {len(new.entries)} known failures; write a reason for each, an empty one is an error"

    wanted: tuple[tuple[str, Path | None, Callable[[Path], str | None]], ...] = (
        ("--fingerprint", options.fingerprint, lambda file: write_fingerprint(result, file)),
        ("--failures", options.failures, failures),
        ("--write-baseline", options.write_baseline, baseline),
    )
    annotate(result, line)
    for option, file, write in wanted:
        if file is not None:
            try:
                if (text := write(file)) and not quiet:
                    line(text)
            except OSError as error:
                message = f"{option}: {error.filename or file}: {error.strerror}; the file was not written"
                line(message, red=True)
