"""`cbspec transcript`: what a simulator took down with --transcript, for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from cbspec.errors import CommandError
from cbspec_simulator.observe.transcript import TranscriptEntry, lines


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec transcript`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `cbspec simulate --transcript FILE` wrote")
    parser.add_argument("--connection", type=int, metavar="N", help="only this connection")
    parser.add_argument("--tenant", metavar="ID", help="only connections of this tenant")


def run(args: argparse.Namespace) -> int:
    """Show the transcript; return the exit code."""
    entries = tuple(_entries(args.file))
    theirs = {entry.connection for entry in entries if entry.tenant == args.tenant}
    for line in lines(
        entry
        for entry in entries
        if args.connection in (None, entry.connection) and (args.tenant is None or entry.connection in theirs)
    ):
        print(line)
    return 0


def _entries(file: Path) -> Iterator[TranscriptEntry]:
    """Read a transcript; a last line that isn't whole yet is left out."""
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
            raise CommandError(f"{file}: line {number} is not a transcript's entry") from None
