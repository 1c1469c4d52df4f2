"""The commands that need no relay: explain, transcript, fingerprint-diff, profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import main
from cbspec.cli.explain import explanation, listing
from cbspec.profile.profile import Endpoint, Profile, Tenant, load, template
from cbspec_simulator.observe.transcript import TranscriptEntry

ENTRIES = [
    TranscriptEntry(1, 100.0, 1, "tcp", "127.0.0.1", "", "", "connected", "tcp", ""),
    TranscriptEntry(2, 100.1, 2, "tcp", "127.0.0.1", "", "", "connected", "tcp", ""),
    TranscriptEntry(3, 100.2, 1, "tcp", "127.0.0.1", "a", "u", "request", "auth", '{"type":"auth","token":"<token>"}'),
    TranscriptEntry(4, 100.3, 2, "tcp", "127.0.0.1", "b", "u", "ended", "closed", ""),
]
FINGERPRINT = """{"fingerprint": 1, "kit": "0.1.0", "specification": "2.0", "requirements": "0123456789abcdef",
"transport": "tcp", "websocket": true, "features": ["tls"], "rows": {"CB-HEL-101": {"level": "INFO",
"demand": "What a second hello draws.", "outcome": "observed", "seen": {"after hello": "accepted"}}}}"""


@pytest.mark.parametrize(
    ("options", "lines"), [((), 4), (("--connection", "1"), 2), (("--tenant", "b"), 2), (("--tenant", "c"), 0)]
)
def test_entries_of_a_transcript_are_selected_by_connection_or_tenant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], lines: int
) -> None:
    path = tmp_path / "t.jsonl"
    incomplete = '{"number": 5'
    path.write_text("".join(json.dumps(entry.to_json()) + "\n" for entry in ENTRIES) + incomplete)
    assert main(["transcript", str(path), *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == lines


@pytest.mark.parametrize(
    ("command", "data", "text"),
    [
        ("transcript", None, "can't be read: No such file or directory"),
        ("transcript", b"\xff\n", "is not UTF-8, at byte 0"),
        ("transcript", b"[]\n", "line 1 is not an entry of a transcript"),
        ("transcript", b"x\n", "line 1 is not an entry of a transcript"),
        ("fingerprint-diff", b"{}", ""),
    ],
)
def test_an_unusable_file_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, data: bytes | None, text: str
) -> None:
    path = tmp_path / "file"
    if data is not None:
        path.write_bytes(data)
    assert main([command, *[str(path)] * (2 if command == "fingerprint-diff" else 1)]) == 4
    assert f"{path}: {text}" in capsys.readouterr().err


def test_differences_of_fingerprints_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(FINGERPRINT)
    after.write_text(FINGERPRINT.replace("0.1.0", "0.2.0").replace("accepted", "closed"))
    assert main(["fingerprint-diff", str(before), str(before)]) == 0
    assert main(["fingerprint-diff", str(before), str(after)]) == 1
    assert capsys.readouterr().out == (
        "the same\n"
        "Written by different versions of the kit, which may cause differences: kit: 0.1.0 -> 0.2.0\n"
        "CB-HEL-101  What a second hello draws. (after hello)\n"
        "    accepted -> closed\n"
        "1 difference\n"
    )


def test_a_template_of_a_profile_overwrites_a_file_only_with_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    assert main(["profile", "init"]) == 0
    assert capsys.readouterr() == (template(), "")
    assert main(["profile", "init", str(path)]) == 0
    assert load(path) == Profile()
    path.write_text("mine")
    capsys.readouterr()
    assert main(["profile", "init", str(path)]) == 4
    assert capsys.readouterr() == ("", f"cbspec: {path} exists; --force overwrites it\n")
    assert path.read_text() == "mine"
    assert main(["profile", "init", "--force", str(path)]) == 0
    assert path.read_text() == template()


def test_a_short_profile_is_valid_and_names_what_most_relays_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_SECRET", "x" * 32)
    path = tmp_path / "p.toml"
    assert main(["profile", "init", "--minimal", str(path)]) == 0
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    found = load(path)
    assert found.target.address == Endpoint("relay.example", 8080)
    assert (found.tls.ca, found.tokens.secret) == (tmp_path / "ca.pem", "x" * 32)
    assert found.tenants == (Tenant("tenant-001"), Tenant("tenant-002", tunnel_limit=5))
    path.write_text(path.read_text() + 'metrics.url = "http://127.0.0.1:9090/metrics"\n')
    assert load(path).metrics.url == "http://127.0.0.1:9090/metrics"


def test_a_profile_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    path.write_text(template())
    assert main(["profile", "check", str(path)]) == 0
    assert capsys.readouterr() == (f"{path}: valid\n", "")
    path.write_text("[relay]\nbufer_pool = 1\n[target]\ntimeout = 'x'")
    assert main(["profile", "check", str(path)]) == 1
    unknown, wrong = capsys.readouterr().out.splitlines()
    assert unknown == f"{path}: relay.bufer_pool: unknown key; did you mean buffer_pool?"
    assert wrong.startswith(f"{path}: target.timeout: must be a number")


def test_the_list_has_a_line_for_each_requirement() -> None:
    lines = list(listing())
    for id_, requirement in REQUIREMENTS.items():
        (line,) = [line for line in lines if id_ in line]
        assert requirement.demand in line
        assert requirement.level in line
        assert max(map(len, explanation(requirement, []))) <= 100, id_


def test_requirements_are_printed_in_the_given_order_with_their_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines() == list(listing())
    assert main(["explain", "cb-tun-004", "CB-UNA-001"]) == 0
    first, second = capsys.readouterr().out.split("\n\nCB-UNA-001  MUST")
    assert "CB-TUN-004  SHOULD" in first
    assert "/relay/message_types/test_3_tunnel_management.py: test_" in first
    assert "  Needs in the profile: " in second
    assert main(["explain", "CB-HEL-001", "CB-TUN-044"]) == 4
    assert capsys.readouterr().err.startswith("cbspec: unknown requirement 'CB-TUN-044'; did you mean CB-TUN-104")
