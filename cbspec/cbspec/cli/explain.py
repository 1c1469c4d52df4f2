"""`cbspec explain`: the demand of a requirement, the reason, and its cases."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from cbspec.catalogue.requirements import CHAPTERS, REQUIREMENTS, REVISION, SET, Requirement, find
from cbspec.cli.cases import Case, find_cases, suite_folder

_WIDTH: Final = 100
_SET: Final = f"Revision {REVISION} of the specification, set {SET} of {len(REQUIREMENTS)} requirements."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec explain`."""
    parser.add_argument(
        "requirements", nargs="*", metavar="ID", help="id of a requirement, such as CB-TUN-004 (default: list all)"
    )


def run(args: argparse.Namespace) -> int:
    """Explain the given requirements, or list all."""
    wanted = [find(id_) for id_ in args.requirements]
    if not wanted:
        print("\n".join(listing()))
        return 0
    suite = suite_folder()
    cases = find_cases(suite) if suite else []
    print(f"{_SET}\n")
    print("\n\n".join("\n".join(explanation(requirement, cases)) for requirement in wanted))
    return 0


def listing() -> Iterator[str]:
    """Yield the lines of the list of requirements by chapter."""
    chapter = ""
    for requirement in REQUIREMENTS.values():
        if requirement.chapter != chapter:
            if chapter:
                yield ""
            chapter = requirement.chapter
            yield CHAPTERS[chapter]
        yield f"  {requirement.id}  {requirement.level:<6}  {requirement.demand}"
    yield ""
    yield _SET


def explanation(requirement: Requirement, cases: Sequence[Case]) -> Iterator[str]:
    """Yield the lines of an explanation of one requirement, with those of `cases` that name it."""
    yield f"{requirement.id}  {requirement.level}  {requirement.section}"
    yield from _paragraph("", requirement.demand)
    yield from _paragraph("Why: ", requirement.why)
    yield from _paragraph("When: ", requirement.when)
    yield from _paragraph("Needs in the profile: ", "; ".join(requirement.needs))
    yield from _paragraph("Not tested: ", requirement.untestable)
    own = [case for case in cases if requirement.id in case.requirements]
    if own:
        yield "  Cases:"
    for case in own:
        yield f"    conformance/cbspec_conformance/{case.file}: {case.name}"
        for paragraph in case.description.split("\n\n"):
            yield from textwrap.wrap(paragraph, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _paragraph(label: str, text: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(label + text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
