"""The folder of one situation: the client's output, what was observed, and the findings."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from cbspec_conformance.client.excerpt import excerpt
from cbspec_conformance.client.run import Result


def write_record(result: Result, folder: Path) -> None:
    """Write the folder of a situation, named after it, in `folder`. Raises OSError."""
    own = folder / result.situation.name
    own.mkdir(parents=True, exist_ok=True)
    findings = [msgspec.to_builtins(finding) for finding in result.findings]
    about = {"situation": result.situation.name, "about": result.situation.about, "findings": findings}
    (own / "findings.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if result.seen is not None:
        (own / "transcript.txt").write_text(excerpt(result.seen) + "\n", encoding="utf-8")
        output = "".join(f"{line.at:.3f} {line.stream}: {line.text}\n" for line in result.seen.output)
        (own / "output.txt").write_text(output, encoding="utf-8")
