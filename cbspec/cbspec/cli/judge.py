"""`cbspec judge`: recompute the verdicts of a saved transcript, of `cbspec verify` or of `cbspec tap`."""

from __future__ import annotations

import argparse

from cbspec.errors import CommandError
from cbspec_conformance.record.saved import TranscriptError
from cbspec_conformance.reporting import judge_command
from cbspec_conformance.tap.rows import is_tap_file
from cbspec_conformance.tap.verdict import judge_file, write_verdict

configure = judge_command.configure


def run(args: argparse.Namespace) -> int:
    """Print the verdicts; return the exit code."""
    try:
        if not is_tap_file(args.transcript):
            return judge_command.run(args)
        verdict = judge_file(args.transcript)
    except OSError as error:
        raise CommandError(f"{args.transcript}: {error.strerror}") from None
    except TranscriptError as error:
        raise CommandError(str(error)) from None
    write_verdict(verdict, lambda text, **markup: print(text))
    return verdict.exit_code
