"""Fingerprints and the differences between two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.reporting.fingerprint import (
    UnusableFingerprint,
    compare,
    fingerprint_of,
    other_kit,
    read_fingerprint,
    write_fingerprint,
)
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.target.facts import Facts
from tests.conformance.reporting.test_report import everything_passed, run

OBSERVED = [
    Finding("CB-HEL-101", Outcome.OBSERVED, seen="accepted", aspect="after hello"),
    Finding("CB-HEL-101", Outcome.OBSERVED, seen="closed", aspect="after auth"),
    Finding("CB-HEL-105", Outcome.OBSERVED, seen="tls"),
]
WARNED = Finding("CB-TUN-004", Outcome.WARNED, seen="an error with code 'tenant_not_found'")


def changed(before: RunResult, after: RunResult) -> list[tuple[str, str, str]]:
    return [(c.what, c.before, c.after) for c in compare(fingerprint_of(before), fingerprint_of(after))]


def test_rows_are_the_requirements_below_must_with_their_texts_or_outcome(tmp_path: Path) -> None:
    found = fingerprint_of(run(*everything_passed())).rows
    open_ = {row.id for row in REQUIREMENTS.values() if row.level is not Level.MUST and not row.untestable}
    assert set(found) == open_
    assert list(found) == sorted(found)
    some = fingerprint_of(run(*OBSERVED, WARNED))
    assert some.rows["CB-HEL-101"].seen == {"after auth": "closed", "after hello": "accepted"}
    assert some.rows["CB-HEL-105"].seen == {"": "tls"}
    assert (some.rows["CB-TUN-004"].outcome, some.rows["CB-TUN-004"].seen) == ("warned", {"": WARNED.seen})
    write_fingerprint(run(*OBSERVED, WARNED), tmp_path / "relay.json")
    assert read_fingerprint(tmp_path / "relay.json") == some


def test_only_texts_that_vary_between_runs_are_left_out() -> None:
    for one, two in (
        ("no answer within 0.5 s; the relay ignored it", "no answer within 1.2 s; the relay ignored it"),
        ("tunnel_id 'cbspec-00c0ffee-7'", "tunnel_id 'cbspec-12345678-31'"),
        ("7 bytes: b'\\x15\\x03'", '9 bytes: b"\\x15\'"'),
        ("refused by 127.0.0.1:8080", "refused by 127.0.0.1:40001"),
    ):
        assert changed(run(replace(WARNED, seen=one)), run(replace(WARNED, seen=two))) == []
    assert changed(run(replace(WARNED, seen="version '1.1'")), run(replace(WARNED, seen="version '2.0'")))


def test_every_difference_is_named_once() -> None:
    other = [replace(OBSERVED[0], seen="refused: invalid_token"), *OBSERVED[1:]]
    assert changed(run(*OBSERVED), run(*other)) == [("CB-HEL-101", "accepted", "refused: invalid_token")]
    passed = Finding("CB-TUN-004", Outcome.PASSED)
    assert changed(run(passed), run(WARNED)) == [("CB-TUN-004", "passed", f"warned: {WARNED.seen}")]
    lacking = Finding("CB-HEL-101", Outcome.NOT_EXERCISED, reason="give x")
    assert changed(run(*OBSERVED), run(lacking, OBSERVED[2])) == [
        ("CB-HEL-101", "after auth: closed; after hello: accepted", "not exercised")
    ]
    assert changed(run(*OBSERVED), run(*OBSERVED[:2])) == [("CB-HEL-105", "tls", "not observed")]


def test_facts_are_compared_too_and_another_kit_is_no_change_of_the_relay() -> None:
    plain = run(*OBSERVED)
    assert changed(plain, replace(plain, facts=Facts("websocket", websocket=True, features=("tls",)))) == [
        ("transport", "tcp", "websocket"),
        ("features", "", "tls"),
    ]
    found = fingerprint_of(plain)
    other = msgspec.structs.replace(found, kit="9.9")
    assert compare(found, other) == []
    assert other_kit(found, other) == [f"kit: {found.kit} -> 9.9"]


def test_an_invalid_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "relay.json"
    for text, fault in (
        ("{", "not JSON"),
        ("\udcff", "not JSON"),
        ('{"green": true}', "not a fingerprint"),
        ('{"fingerprint": 99, "rows": {}}', "format 99"),
        ('{"fingerprint": 1}', "damaged"),
    ):
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(UnusableFingerprint, match=fault) as caught:
            read_fingerprint(file)
        assert str(file) in str(caught.value)
