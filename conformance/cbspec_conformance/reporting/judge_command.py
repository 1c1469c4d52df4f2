"""`cbspec judge`: recompute the verdicts of a saved run with the current catalogue."""

from __future__ import annotations

import argparse
from pathlib import Path

from cbspec.errors import CommandError
from cbspec_conformance.record.saved import TranscriptError
from cbspec_conformance.reporting.report import counts, write_report
from cbspec_conformance.reporting.saved_run import SavedRun


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec judge`."""
    text = "file from cbspec verify --transcript, or cbspec tap --transcript"
    parser.add_argument("transcript", type=Path, metavar="TRANSCRIPT", help=text)


def run(args: argparse.Namespace) -> int:
    """Print the report of a saved run; return its exit code."""
    try:
        result = SavedRun.load(args.transcript).result()
    except OSError as error:
        raise CommandError(f"{args.transcript}: {error.strerror}") from None
    except TranscriptError as error:
        raise CommandError(str(error)) from None
    write_report(result, lambda text, **markup: print(text))
    print(counts(result))
    return result.exit_code
