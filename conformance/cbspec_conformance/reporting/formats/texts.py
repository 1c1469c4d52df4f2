"""Texts and values that several formats have."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator

from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.reporting.stream import RecordedRun


def json_bytes(value: object) -> bytes:
    """Return a value as a JSON file; lone surrogates stay escaped."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def digest(*texts: str) -> str:
    """Return 32 hexadecimal digits that stand for some texts."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def run_id(run: RecordedRun, *texts: str) -> str:
    """Return a UUID of a run, or of a part of it that `texts` name: the same for each report that is made of it."""
    return str(uuid.UUID(digest(str(run.started.began), run.started.subject.address, *texts)))


def milliseconds(run: RecordedRun, at: float) -> int:
    """Return a time of the run as milliseconds since 1970."""
    return round(1000 * (run.started.began.timestamp() + at))


def subject_facts(run: RecordedRun) -> Iterator[tuple[str, str]]:
    """Yield the facts about the run that every report shows, as names and values; absent ones are left out."""
    started, subject = run.started, run.started.subject
    facts = (
        ("target", subject.name),
        ("TLS", " ".join(filter(None, (subject.tls, subject.cipher)))),
        ("round trip", f"{1000 * subject.round_trip:.1f} ms" if subject.round_trip else ""),
        ("specification", started.specification),
        ("catalogue", started.catalogue),
        ("cbspec", started.kit),
        ("began", started.began.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("took", f"{run.ended.seconds:.1f} s" if run.ended is not None else ""),
        ("options", " ".join(f"{name} {value}".strip() for name, value in started.options.items())),
    )
    return ((name, value) for name, value in facts if value)


def headline(run: RecordedRun) -> str:
    """Return the result of a run in a few words."""
    result = run.result
    if run.ended is not None and run.ended.reason:
        return "not judged"
    if result.green:
        return f"{sum(verdict.outcome is Outcome.PASSED for verdict in run.verdicts)} passed"
    spoiled = Counter(verdict.outcome for verdict in result.spoiling)
    bad = (Outcome.FAILED, Outcome.WARNED, Outcome.INCONCLUSIVE)
    found = [f"{spoiled[outcome]} {outcome}" for outcome in bad if spoiled[outcome]]
    found += [f"{len(result.stale)} stale"] if result.stale else []
    found += ["unfinished"] if result.interrupted else []
    found += [f"{len(result.kit_errors)} errors of the kit"] if result.kit_errors else []
    return next(iter(found), "not judged")
