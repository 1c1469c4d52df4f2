"""The suite against the simulator, each a process of its own. `make adequacy` judges every variation of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import CATALOGUE, REQUIREMENTS, Level
from cbspec.cli import main
from cbspec.redact import has_token
from cbspec.tokens.jwt import SigningKey, new_pair
from cbspec_conformance.reporting.fingerprint import compare, read_fingerprint
from cbspec_conformance.reporting.stream import RecordedRun
from cbspec_conformance.runner.blame import everywhere
from cbspec_simulator import OPEN_POINTS
from tests.cbspec.catalogue.test_revisions import older
from tests.conformance.commands import Done, run, simulator, verdict, verify
from tests.repo.protocol import FINGERPRINT
from tests.repo.tree import ROOT
from tests.support.issuer import jwks, pair, published


def table(text: str) -> list[str]:
    """Return the part of a report that does not depend on pytest."""
    text = re.sub(r"(?m)^(?:Cost: .*\n  .*|One alone, .*(?:\n  .*)*)\n", "", text)
    lines = [line for line in text.splitlines() if not line.startswith("=")]
    return lines[next(n for n, line in enumerate(lines) if line.startswith(("Failed: ", "Requirements by chapter"))) :]


def assert_green(done: Done) -> None:
    assert done.code == 0, done.text
    assert [verdict(done.text, column) for column in ("failed", "inconclusive", "warned")] == [0, 0, 0]
    assert "Errors of the kit" not in done.text


@pytest.mark.timeout(240)
def test_a_whole_run_passes_and_its_transcript_gives_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "empty").mkdir()
    options = ("--transport", "websocket", "--results", str(tmp_path / "run.jsonl"), "--effort", "quick", "-n", "2")
    done = verify(*options, "--fingerprint", str(tmp_path / "relay.json"), folder=folder, patience=200)
    assert_green(done)
    assert "(websocket" in done.text
    testable = sum(not row.untestable for row in REQUIREMENTS.values())
    assert sum(verdict(done.text, column) for column in ("passed", "not exercised", "observed")) == testable
    assert verdict(done.text, "passed") >= sum(row.level is Level.MUST for row in REQUIREMENTS.values())
    assert list(folder.iterdir()) == []
    assert not has_token((tmp_path / "run.jsonl").read_text())
    assert main(["judge", str(tmp_path / "run.jsonl")]) == 0
    assert table(capsys.readouterr().out) == table(done.text)
    documented, seen = (read_fingerprint(file).rows for file in (FINGERPRINT, tmp_path / "relay.json"))
    changed = {id_ for id_, row in documented.items() if row.seen and seen[id_].seen not in ({}, row.seen)}
    changed = {id_ for id_ in changed if not id_.startswith("CB-TLS-")}  # which depend on the version of OpenSSL
    assert changed <= {"CB-ADR-102", "CB-MSG-103"}, "make docs says how to measure the simulator's behaviour again"


def test_the_log_of_a_relay_shows_which_case_sent_a_request(tmp_path: Path) -> None:
    log, cases = tmp_path / "relay.jsonl", ("CB-AUT-001", "CB-HBT-001", "CB-LIM-011", "CB-TUN-005")
    with simulator(tmp_path, "--transcript", str(log)) as profile:
        done = verify("--profile", str(profile), "--only", ",".join(cases), "--own-cases", "--effort", "quick")
    assert verdict(done.text, "failed") == 0, done.text
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    stems = {*map(str.lower, cases), "cbspec"}  # the preflight is no case
    assert {each["subject"] for each in entries if each["type"] == "auth_response"} == stems
    tunnels = {
        found[1] for each in entries if (found := re.search(r'"tunnel_id":"(\S+)-[0-9a-f]{8}-\d+"', each["text"]))
    }
    assert tunnels == stems


PINNED = """
import sys
from pathlib import Path
from cbspec.catalogue import revisions
from cbspec.cli import main
revisions.FROZEN = Path(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""


def test_a_pinned_run_judges_by_the_requirements_and_levels_of_its_revision(tmp_path: Path) -> None:
    old = older(tmp_path, without="CB-HEL-006", level=("CB-HEL-005", Level.MUST)).name
    broken = ("--deviation", "hello-without-version-accepted", "--deviation", "hello-without-features-accepted")
    results = tmp_path / "run.jsonl"
    with simulator(tmp_path, *broken) as profile:
        options = ("--profile", str(profile), "-k", "test_1_hello", "--effort", "quick")
        present = verify(*options)
        pinned = run("-c", PINNED, str(tmp_path), "verify", *options, "--catalogue", old, "--results", str(results))
    again = run("-c", PINNED, str(tmp_path), "judge", str(results))
    report = run("-m", "cbspec", "report", str(results))
    columns = ("passed", "failed", "warned", "inconclusive")
    assert [verdict(present.text, column) for column in columns] == [6, 0, 2, 0], present.text
    for done in (pinned, again, report):
        assert [verdict(done.text, column) for column in columns] == [6, 1, 0, 0], done.text
    assert [present.code, pinned.code, again.code] == [0, 1, 1]
    assert f"catalogue {CATALOGUE}, specification" in present.text
    assert f"catalogue {old} (pinned" in pinned.text
    recorded = RecordedRun.load(results)
    assert recorded.started.catalogue == old
    assert "CB-HEL-006" not in recorded.requirements


def test_a_client_is_judged_by_the_levels_of_a_pinned_revision(tmp_path: Path) -> None:
    old = older(tmp_path, without="CC-TLS-001", level=("CC-TLS-007", Level.MUST)).name
    client = (sys.executable, "-m", "tests.adequacy.clients", "{host}", "{port}", "{ca}", "{token}")
    options = ("--situation", "certificate-unknown-ca", "--only", "CC-TLS-007", "--catalogue", old)
    command = ("--", *client, "--with", "unknown-ca-accepted")
    done = run("-c", PINNED, str(tmp_path), "verify-client", *options, *command, PYTHONPATH=str(ROOT))
    assert done.code == 1, done.text
    assert [verdict(done.text, column) for column in ("failed", "warned")] == [1, 0], done.text


def test_a_failing_proxy_is_blamed_instead_of_the_relay(tmp_path: Path) -> None:
    """The relay is on loopback, which needs no proxy; its metrics are elsewhere."""
    with simulator(tmp_path) as profile:
        elsewhere = re.sub(r"(\[metrics\]\nurl = ).*", r'\1"http://relay.invalid/metrics"', profile.read_text())
        profile.write_text(elsewhere)
        options = ("--profile", str(profile), "--only", "CB-MET-001", "--own-cases")
        proxy = "http://user:password@127.0.0.1:1"
        done = verify(*options, http_proxy=proxy, https_proxy=proxy, all_proxy=proxy, no_proxy="")
    assert [verdict(done.text, column) for column in ("failed", "inconclusive")] == [0, 1], done.text
    said = " ".join(done.text.split())
    assert "CB-MET-001: http://relay.invalid/metrics: no direct connection" in said
    assert "and the proxy 127.0.0.1:1 failed" in said


@pytest.mark.parametrize(
    "text",
    [None, "", "{]\n", "[]\n", '{"event": "run"}\n', '{"event": "run", "format": 1}\n', '{"event"'],
)
def test_an_invalid_transcript_is_reported(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.jsonl"
    if text is not None:
        file.write_text(text)
    assert main(["judge", str(file)]) == 4
    assert str(file) in capsys.readouterr().err


POINT = "subject-not-required"


def test_an_open_point_changes_only_its_row_of_the_fingerprint(tmp_path: Path) -> None:
    """One run has two processes, the other one: their number changes nothing."""
    selected = ("--only", f"CB-CMP-002,{OPEN_POINTS[POINT].requirement}", "--effort", "quick")
    files = [tmp_path / name for name in ("clean.json", "point.json")]
    assert_green(verify(*selected, "-n", "2", "--fingerprint", str(files[0]), folder=tmp_path))
    with simulator(tmp_path, "--open-point", POINT) as profile:
        assert_green(verify("--profile", str(profile), *selected, "--fingerprint", str(files[1])))
    changes = compare(*map(read_fingerprint, files))
    assert {change.what for change in changes} == {OPEN_POINTS[POINT].requirement}


def test_no_refusal_passes_if_the_relay_accepts_none_of_the_tokens(tmp_path: Path) -> None:
    with simulator(tmp_path) as profile:
        lines = profile.read_text().splitlines()
        known = [line for line in lines if line.startswith(("secret", "development"))]
        wrong = 'secret = "not-the-secret-of-this-relay-but-another"'
        profile.write_text("\n".join(wrong if line == known[0] else line for line in lines if line not in known[1:]))
        only = "CB-AUT-005,CB-AUT-008,CB-TUN-003,CB-TUN-010"
        done = verify("--profile", str(profile), "--effort", "quick", "--only", only)
    assert done.code == 1
    assert "the suite's tokens are not accepted" in done.text
    assert (verdict(done.text, "passed"), verdict(done.text, "inconclusive")) == (0, only.count("CB"))


@pytest.mark.parametrize(
    ("config", "variation", "cases", "counts"),
    [
        # A warning ends no case about limits.
        ("", ("--deviation", "tunnel-for-another-tenant-unanswered"), "any_order", (0, 1, False)),
        # If the pool has no room for a tunnel on each of six connections, its refusal proves nothing.
        ("buffer_pool = 4", ("--variant", "close-after-error"), "connection_limit_reached", (0, 0, False)),
        ("buffer_pool = 6", ("--deviation", "relay-connections-late"), "connection_limit_reached", (0, 0, True)),
    ],
    ids=["warning", "small-pool", "late"],
)
def test_no_must_fails(
    config: str, variation: tuple[str, ...], cases: str, counts: tuple[int, int, bool], tmp_path: Path
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f"[relay]\nconnection_limit = 6\n{config}\n" if config else "")
    with simulator(tmp_path, "--config", str(file), *variation) as profile:
        if config:
            profile.write_text(re.sub(r"\[conditions\.connection_limit\][^\[]*", "", profile.read_text()))
        done = verify(
            "--profile", str(profile), "-k", cases, "--examples", "20", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
    found = [verdict(done.text, column) for column in ("failed", "warned", "inconclusive")]
    assert (found[0], found[1], found[2] > 0) == counts, done.text


ABOUT_TOKENS = [id_ for id_ in REQUIREMENTS if id_.startswith(("CB-AUT", "CB-TEN")) and id_ not in everywhere()]
"""The requirements on tokens, but for those that need every case of the suite."""
NEEDS_A_SECRET = "CB-AUT-105"
THOROUGH = ("CB-AUT-021",)  # not tried by a quick run
NEEDS_TIME = "CB-AUT-110"


@pytest.mark.timeout(240)
def test_a_relay_that_verifies_tokens_by_published_keys_passes(tmp_path: Path) -> None:
    private, config = tmp_path / "key.pem", tmp_path / "relay.toml"
    private.write_bytes(new_pair("RS256"))
    # As after a rotation, another key of the same algorithm comes first: the key id distinguishes them.
    with published(jwks(pair("RS256"), SigningKey.from_pem(private))) as address:
        source = f"jwks_url = '{address.url}'\nsigning_key_file = 'key.pem'"
        config.write_text(f"[tokens]\n{source}\nissuer = 'me'\naudience = 'you'\n")
        with simulator(tmp_path, "--config", str(config)) as profile:
            options = ("--effort", "quick", "--only", ",".join(ABOUT_TOKENS))
            done = verify("--profile", str(profile), *options, patience=200)
    assert done.code == 0, done.text
    judged = sum(REQUIREMENTS[id_].level != "INFO" for id_ in ABOUT_TOKENS) - len(THOROUGH)
    counts = [verdict(done.text, column) for column in ("passed", "failed", "warned", "inconclusive", "observed")]
    unseen = {NEEDS_A_SECRET, NEEDS_TIME, *THOROUGH}
    assert counts == [judged, 0, 0, 0, len(ABOUT_TOKENS) - judged - len(unseen)], done.text
