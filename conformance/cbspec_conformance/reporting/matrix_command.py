"""`cbspec matrix`: requirements by implementations, from the results of a run of each."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cbspec.exit_codes import ExitCode
from cbspec_conformance.reporting.html.matrix_pages import matrix_markdown, matrix_page
from cbspec_conformance.reporting.matrix import Implementation, matrix_of
from cbspec_conformance.reporting.stream import RecordedRun


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec matrix`."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="[NAME=]RESULTS",
        help="file from cbspec verify or verify-client --results; NAME heads its column (default: its target)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write Markdown (default: print it)")


def run(args: argparse.Namespace) -> int:
    """Write the matrix. Raises OSError, StreamError or InputError."""
    matrix = matrix_of(implementations(args.results))
    if args.html is not None:
        args.html.write_bytes(matrix_page(matrix))
    if args.markdown is not None:
        args.markdown.write_bytes(matrix_markdown(matrix))
    if args.html is None and args.markdown is None:
        sys.stdout.write(matrix_markdown(matrix).decode())
    return ExitCode.SUCCESS


def implementations(arguments: Sequence[str]) -> list[Implementation]:
    """Return the columns of a matrix; names that occur twice get the names of their files, too."""
    found = []
    for argument in arguments:
        name, _, rest = argument.partition("=")
        path = Path(argument if not rest or Path(argument).exists() else rest)
        run = RecordedRun.load(path)
        found.append((name if path != Path(argument) else run.started.subject.address, path, run))
    times = Counter(name for name, _, _ in found)
    return [Implementation(name if times[name] == 1 else f"{name} ({path.stem})", run) for name, path, run in found]
