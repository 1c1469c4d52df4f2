"""The case of a failure run again, on a conforming relay."""

from __future__ import annotations

from pathlib import Path

from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.replay.rerun import ReplayVerdict, rerun
from tests.conformance.commands import simulator


def failure(requirement: str, case: str, *options: str) -> Failure:
    return Failure(requirement, case, "127.0.0.1:1", "tcp", "an error", "none", options=options)


def test_each_failure_gets_the_verdict_of_its_case(tmp_path: Path) -> None:
    file = "relay/message_types/test_3_tunnel_management.py"
    with simulator(tmp_path) as profile:
        fixed, preflight, elsewhere, gone = rerun(
            [
                failure("CB-TUN-012", f"{file}::test_invalid_member_is_refused[CB-TUN-012]"),
                failure("CB-HEL-002", "preflight"),
                failure("CB-MSG-004", f"{file}::test_invalid_member_is_refused[CB-TUN-012]"),
                failure("CB-TUN-012", f"{file}::test_gone", "--seed=1"),
            ],
            ["--target-profile", str(profile)],
        )
    assert [outcome.verdict for outcome in (fixed, preflight, elsewhere)] == [ReplayVerdict.FIXED] * 3
    assert (gone.verdict, "no such case" in gone.reason) == (ReplayVerdict.UNCLEAR, True), gone.reason
