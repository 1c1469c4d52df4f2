"""`cbspec transcript`: print a transcript file of the simulator in readable form."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from cbspec.errors import CommandError
from cbspec_simulator.observe.transcript import TranscriptEntry, lines


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec transcript`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="file that `cbspec simulate --transcript FILE` wrote")
    parser.add_argument("--connection", type=int, metavar="N", help="print only this connection")
    parser.add_argument("--tenant", metavar="ID", help="print only connections of this tenant")


def run(args: argparse.Namespace) -> int:
    """Print the transcript; return the exit code."""
    entries = tuple(_entries(args.file))
    of_tenant = {entry.connection for entry in entries if entry.tenant == args.tenant}
    for line in lines(
        entry
        for entry in entries
        if args.connection in (None, entry.connection) and (args.tenant is None or entry.connection in of_tenant)
    ):
        print(line)
    return 0


def _entries(file: Path) -> Iterator[TranscriptEntry]:
    """Read the entries of a file; an incomplete last line is skipped."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not UTF-8, at byte {error.start}") from None
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        try:
            yield TranscriptEntry.from_json(json.loads(line))
        except (ValueError, TypeError):
            raise CommandError(f"{file}: line {number} is not an entry of a transcript") from None
