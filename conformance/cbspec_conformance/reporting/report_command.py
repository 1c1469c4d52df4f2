"""`cbspec report`: make reports from the results of a run, also while it is going on or after it was killed."""

from __future__ import annotations

import argparse
from pathlib import Path

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.options import add_options
from cbspec_conformance.reporting.formats import FORMATS, REPORTS, write_reports
from cbspec_conformance.reporting.report import counts, write_report
from cbspec_conformance.reporting.stream import RecordedRun


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec report`."""
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="file from cbspec verify or verify-client --results"
    )
    add_options(parser, REPORTS)
    parser.epilog = (
        "Without an option, the report is printed as at the end of the run. The exit code is not the verdict's."
    )


def run(args: argparse.Namespace) -> int:
    """Write the reports, or print that of the terminal."""
    wanted = {each.name: path for each in FORMATS if (path := getattr(args, each.name)) is not None}
    against: Path | None = args.against
    if not wanted:
        result = RecordedRun.load(args.results, against).result
        write_report(result, lambda text, **markup: print(text))
        print(counts(result))
        return ExitCode.SUCCESS
    if errors := list(write_reports(args.results, wanted, against)):
        raise CommandError("\n".join(errors))
    return ExitCode.SUCCESS
