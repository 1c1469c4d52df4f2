"""Words as cases: each kind of breach in the suite's words, and replayed without the learner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cbspec.profile.profile import Profile, load
from cbspec_conformance.failures.failure import failures_of
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.learning.words import play_again
from cbspec_conformance.replay.replay import ReplayVerdict, replay
from tests.support.processes import served

DEVIATIONS = (
    "expired-accepted",
    "hello-without-version-accepted",
    "heartbeat-before-hello-answered",
    "tunnel-second-refused",
    "unknown-type-wrong-code",
    "tunnel-for-unknown-tenant",
    "inactive-tenant-as-invalid-token",
    "resumed-session-authenticated",
    "error-message-empty",
)
BREACHES = (
    ("hello; auth, expired", "CB-AUT-005", "an error with code invalid_token"),
    ("hello without version", "CB-HEL-005", "an error or a close"),
    ("heartbeat", "CB-HEL-007", "an error or a close"),
    ("hello; auth A; tunnel A; tunnel A", "CB-TUN-001", 'a tunnel_response with status "ok"'),
    ("hello; auth A; unknown type", "CB-UNK-001", "an error with code unknown_message_type"),
    ("hello; auth A; tunnel of no tenant", "CB-TEN-006", "no success answer"),
    ("hello; auth, inactive tenant", "CB-TEN-004", "an error with code tenant_not_found"),
    ("hello; resume; hello; tunnel A", "CB-TUN-003", "no success answer"),
    ("hello; tunnel A", "CB-ERR-003", "a message that is not empty"),
)


def findings(profile: Profile) -> dict[str, list[Finding]]:
    setting = LearningSetting(profile)
    return {id_: play_again(f"learn::{word}", id_, setting) for word, id_, _ in BREACHES}


def test_every_kind_of_breach_is_judged_as_by_the_suite_and_replayed(
    tmp_path: Path, simulated: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aalpy", None)
    options = [word for each in DEVIATIONS for word in ("--deviation", each)]
    with served(tmp_path, *options) as relay:
        profile = load(relay.profile_file)
        found = findings(profile)
        own = {id_: next(each for each in all_ if each.requirement == id_) for id_, all_ in found.items()}
        assert {id_: each.expected for id_, each in own.items()} == {id_: text for _, id_, text in BREACHES}
        assert {each.outcome for each in own.values()} == {*BROKEN}
        assert all(each.exchange and each.decisive for each in own.values())
        failures = [
            *failures_of([*own.values()], str(profile.target.address), "tcp", ("--tenant=tenant-001",)).values()
        ]
        assert len(failures) == len(BREACHES)
        still = replay(failures, profile, ())
        setting = LearningSetting(profile)
        (unclear,) = play_again("learn::hello; auth A; tunnel A; tunnel A; unknown type", "CB-MSG-003", setting)
        with pytest.raises(NotExercised, match="auth Z: this kit has no such input"):
            play_again("learn::hello; auth Z", "CB-AUT-001", setting)
    assert (unclear.outcome, unclear.reason) == (
        Outcome.INCONCLUSIVE,
        "the sequence breaks CB-TUN-001 with error invalid_tunnel_info after hello; auth A; tunnel A; tunnel A",
    )
    assert {outcome.verdict for outcome in still} == {ReplayVerdict.FAILING}, still
    resumed = next(outcome for failure, outcome in zip(failures, still, strict=True) if "resume" in failure.case)
    assert resumed.reason.startswith("its case fails")  # steps resume no TLS session
    assert {id_: each.outcome for id_, (each, *_) in findings(simulated).items()} == dict.fromkeys(own, Outcome.PASSED)
    fixed = replay(failures, simulated, ())
    assert {outcome.verdict for outcome in fixed} == {ReplayVerdict.FIXED}, fixed
