"""The reports that are made from a stream of results: a module for each format, and the table of all.

A format's module has a function `render(run)`, which returns the bytes of a file, or for a folder those of each file by
its name. It is a pure function of the recorded run, so that a report made later equals the one of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cbspec.options import FILE, FOLDER, Option

if TYPE_CHECKING:
    from cbspec_conformance.reporting.stream import RecordedRun


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """A format: its name is that of its module and of its option. `is_folder`: it consists of several files."""

    name: str
    help: str
    is_folder: bool = False

    @property
    def option(self) -> str:
        """The option on the command line."""
        return f"--{self.name}"

    def write(self, run: RecordedRun, path: Path) -> None:
        """Write the report. Raises OSError."""
        render: Callable[[RecordedRun], bytes | Mapping[str, bytes]] = import_module(f"{__name__}.{self.name}").render
        match render(run):
            case bytes(content):
                path.write_bytes(content)
            case files:
                path.mkdir(parents=True, exist_ok=True)
                for name, content in files.items():
                    (path / name).write_bytes(content)


FORMATS: Final = (
    ReportFormat("junit", "write a report for CI servers (JUnit XML)"),
    ReportFormat("ctrf", "write a report in the Common Test Report Format (JSON)"),
    ReportFormat("sarif", "write the failures for code scanning (SARIF 2.1.0)"),
    ReportFormat("allure", "write results for Allure", is_folder=True),
    ReportFormat("markdown", "write a summary of the job (Markdown)"),
    ReportFormat("html", "write a page with every requirement and its exchanges (HTML)"),
    ReportFormat("badge", "write a badge with the verdict (SVG)"),
)
"""Every format, in the order of the options."""

AGAINST: Final = Option("--against", "results of an earlier run to compare with in the reports (JSON Lines)", FILE)
REPORTS: Final = (*(Option(each.option, each.help, FOLDER if each.is_folder else FILE) for each in FORMATS), AGAINST)
"""The options of all formats, and that of the earlier run."""


def write_reports(stream: Path, wanted: Mapping[str, Path], against: Path | None = None) -> Iterator[str]:
    """Write the reports that are `wanted`, by the names of their formats; yield an error for each that fails."""
    if not wanted:
        return
    # Imported when a report is written: the table is read before the embedded simulator starts.
    from cbspec_conformance.reporting.stream import RecordedRun, StreamError

    try:
        run = RecordedRun.load(stream, against)
    except OSError as error:
        yield f"{error.filename}: {error.strerror}; no report was written"
        return
    except StreamError as error:
        yield f"{error}; no report was written"
        return
    for each in FORMATS:
        if (path := wanted.get(each.name)) is not None:
            try:
                each.write(run, path)
            except OSError as error:
                yield f"{each.option}: {error.filename or path}: {error.strerror}; the report was not written"
