"""A failure run again: on the relay that it was found on, on one that conforms, on one that takes other tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.profile import Profile, resolve
from cbspec.redact import find_tokens
from cbspec_conformance.failures.failure import Failure, load, write_all
from cbspec_conformance.failures.recipes import PLACEHOLDER
from cbspec_conformance.replay.export import NotExportable, environment, export
from cbspec_conformance.replay.outcome import ReplayVerdict
from cbspec_conformance.replay.replay import Replayer
from tests.conformance.failures.relays import Found, find, relay

TUNNELS, AUTH, MESSAGES = "message_types.test_3_tunnel_management", "message_types.test_2_authentication", "notes."
JSON, WEBSOCKET, LIMITS = "notes.test_utf8_json", "notes.test_websocket", "error_codes.test_tenant_limit_exceeded"
FOUND = (
    Found("hello-version-missing", "CB-HEL-002", JSON, "test_one_answer_to_a_request"),
    Found("hello-answered-twice", "CB-MSG-004", JSON, "test_one_answer_to_a_request"),
    Found("auth-tenant-of-another", "CB-AUT-003", AUTH, "test_tenant_is_the_tokens"),
    Found("expired-accepted", "CB-AUT-005", AUTH, "test_expired_token"),
    Found("alg-none-accepted", "CB-AUT-010", AUTH, "test_algorithm_none"),
    Found("embedded-secret-trusted", "CB-AUT-011", AUTH, "test_algorithm_confusion"),
    Found("json-claims-accepted", "CB-AUT-012", AUTH, "test_not_a_jwt"),
    Found("missing-token-accepted", "CB-AUT-014", AUTH, "test_token_missing"),
    Found("array-of-token-accepted", "CB-AUT-015", AUTH, "test_token_is_not_a_string"),
    Found("refused-but-authenticated", "CB-AUT-016", AUTH, "test_refused_is_not_authenticated"),
    Found("auth-leaks", "CB-AUT-017", AUTH, "test_auth_counts_for_its_own_connection", ("before",)),
    Found("tunnel-status-created", "CB-TUN-001", TUNNELS, "test_valid_tunnel_is_opened"),
    Found("tunnel-before-auth", "CB-TUN-003", TUNNELS, "test_no_tunnel_before_auth"),
    Found("local-port-fraction-accepted", "CB-TUN-007", TUNNELS, "test_local_port_must_exist"),
    Found("remote-port-zero-wrong-code", "CB-TUN-010", TUNNELS, "test_remote_port_must_exist"),
    Found("tunnel-answered-twice", "CB-MSG-004", JSON, "test_one_answer_to_a_request"),
    Found("error-sent-twice", "CB-MSG-004", JSON, "test_one_answer_to_a_request"),
    Found(
        "heartbeat-answered-by-tunnel-response",
        "CB-HBT-001",
        "message_types.test_4_heartbeat",
        "test_heartbeat_is_answered",
    ),
    Found("error-quotes-token", "CB-ERR-004", JSON, "test_one_answer_to_a_request"),
    Found("unknown-tenant-accepted", "CB-TEN-002", "notes.test_multi_tenancy", "test_unknown_tenant"),
    Found("output-gzip", "CB-CMP-001", "notes.test_no_compression", "test_output_is_not_compressed"),
    Found("output-utf-16", "CB-MSG-001", JSON, "test_output_is_utf8"),
    Found("input-not-json-unanswered", "CB-MSG-007", JSON, "test_bad_input_is_not_met_by_silence", ("an array",)),
    Found("input-single-quotes-accepted", "CB-MSG-005", JSON, "test_nearly_json", ("tunnel_info", "single quotes")),
    Found("input-latin-1-accepted", "CB-MSG-006", JSON, "test_not_utf8", ("Latin-1 letter", "value")),
    Found(
        "input-compressed-accepted",
        "CB-CMP-002",
        "notes.test_no_compression",
        "test_compressed_input",
        ("heartbeat", "gzip"),
    ),
    Found("input-split-not-understood", "CB-MSG-009", JSON, "test_byte_by_byte", ("auth",)),
    Found("input-pipelined-lost", "CB-MSG-010", JSON, "test_whole_session_at_once"),
    Found("websocket-fragments-apart", "CB-WSK-003", WEBSOCKET, "test_two_fragments"),
    Found("websocket-masked", "CB-WSK-002", WEBSOCKET, "test_frames_are_well_formed"),
    Found("websocket-binary", "CB-WSK-005", WEBSOCKET, "test_text_frames"),
    Found("tenant-connections-late", "CB-LIM-012", LIMITS, "test_one_connection_more"),
    Found("tunnel-limit-late", "CB-LIM-002", LIMITS, "test_one_tunnel_more"),
)


def exported(failure: Failure, profile: Profile, script: Path) -> bool:
    """Export a script, and say whether it shows the failure."""
    target = Replayer(profile).target()
    try:
        export(failure, target, script)
    except NotExportable as error:
        print(error)
        assert not script.exists()
        return False
    finally:
        target.close()
    return True


def run_script(script: Path, profile: Profile) -> subprocess.CompletedProcess[bytes]:
    """Run a script without anything of this project in its reach."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(profile.target.address)],
        env=environment(profile),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def clean() -> Iterator[Profile]:
    with relay() as profile:
        yield profile


@pytest.fixture(scope="module")
def foreign() -> Iterator[Profile]:
    """Give a relay that takes none of the tokens that the profile makes."""
    with relay(secret="another-secret-than-everybody-knows") as profile:
        yield resolve(None, profile.target.address)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.deviation}-{found.requirement}")
def test_a_failure_is_seen_again_where_it_is_and_nowhere_else(
    found: Found, clean: Profile, foreign: Profile, tmp_path: Path
) -> None:
    with relay(found.deviation) as wrong:
        write_all({"CB-1.json": find(found, wrong)}, tmp_path)
        text = (tmp_path / "CB-1.json").read_text()
        failure = load(tmp_path / "CB-1.json")
        assert failure.steps, failure.exchange
        again = Replayer(wrong).play(failure)
        assert again.verdict is ReplayVerdict.FAILING, again.reason
        shown = exported(failure, wrong, tmp_path / "script.py")
    assert shown
    assert not find_tokens(text)
    assert DEVELOPMENT_SECRET not in text
    # As with the replay below: a step before the last may be what is different. Some tokens no script can make.
    gone_too = run_script(tmp_path / "script.py", clean)
    script = (tmp_path / "script.py").read_text()
    needs_more = found.requirement == "CB-LIM-012" or "'given': True" in script
    assert gone_too.returncode == (2 if needs_more else 0), gone_too.stdout
    assert not find_tokens(gone_too.stdout.decode())
    assert DEVELOPMENT_SECRET not in script
    gone = Replayer(clean).play(failure)
    # What went wrong may have been a step before the last: then it takes the case to say that all is well.
    assert gone.verdict is (ReplayVerdict.UNCLEAR if found.requirement == "CB-LIM-012" else ReplayVerdict.FIXED), (
        gone.reason
    )
    unclear = Replayer(foreign).play(failure)
    used = PLACEHOLDER.findall(json.dumps(failure.to_json()["steps"]))
    needs_token = any(name in (failure.tokens or {}) and (failure.tokens or {})[name].tenant for name in used)
    assert unclear.verdict is (ReplayVerdict.UNCLEAR if needs_token else ReplayVerdict.FIXED), unclear.reason


def test_what_can_t_be_played_says_so(clean: Profile) -> None:
    failure = Failure("CB-TLS-002", "relay/notes/test_tls13.py::test_old", "127.0.0.1:1", "tcp", "refused", "served")
    outcome = Replayer(clean).play(failure)
    assert (outcome.verdict, outcome.played) == (ReplayVerdict.UNCLEAR, False)
