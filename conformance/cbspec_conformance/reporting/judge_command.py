"""`cbspec judge`: recompute the verdicts of a recorded run with the current catalogue."""

from __future__ import annotations

import argparse
from pathlib import Path

from cbspec_conformance.reporting.report import counts, write_report
from cbspec_conformance.reporting.stream import RecordedRun


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec judge`."""
    text = "file from cbspec verify --results, or cbspec tap --transcript"
    parser.add_argument("transcript", type=Path, metavar="RESULTS", help=text)


def run(args: argparse.Namespace) -> int:
    """Print the report of a recorded run; return its exit code."""
    result = RecordedRun.load(args.transcript).rejudged().result
    write_report(result, lambda text, **markup: print(text))
    print(counts(result))
    return result.exit_code
