"""The suite against the real simulator, each a process of its own: clean, wrong in one way, right and different."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_conformance.reporting.fingerprint import compare, read_fingerprint
from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS
from tests.conformance.commands import Done, simulator, verdict, verify

TESTABLE = sum(not row.untestable for row in REQUIREMENTS.values())
QUICK = ("--examples", "5")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the profile of a conforming relay that all tests here share."""
    with simulator(tmp_path_factory.mktemp("clean")) as profile:
        yield profile


def assert_green(done: Done) -> None:
    assert done.code == 0, done.text
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive"), verdict(done.text, "warned")) == (0, 0, 0)
    assert "Mistakes of the kit" not in done.text


def test_the_embedded_simulator_passes_in_full(tmp_path: Path) -> None:
    done = verify(*QUICK, folder=tmp_path)
    assert_green(done)
    assert sum(verdict(done.text, column) for column in ("passed", "not exercised", "observed")) == TESTABLE
    musts = sum(row.level is Level.MUST for row in REQUIREMENTS.values())
    assert verdict(done.text, "passed") >= musts
    assert list(tmp_path.iterdir()) == []  # the suite leaves nothing behind


def test_two_workers_share_a_relay_and_come_to_the_same(clean: Path, tmp_path: Path) -> None:
    done = verify("--target-profile", str(clean), *QUICK, "-n", "2", folder=tmp_path)
    assert_green(done)
    assert sum(verdict(done.text, column) for column in ("passed", "not exercised", "observed")) == TESTABLE


def test_the_websocket_transport_passes(clean: Path, tmp_path: Path) -> None:
    done = verify("--target-profile", str(clean), *QUICK, "--transport", "websocket", folder=tmp_path)
    assert_green(done)
    assert "(websocket)" in done.text


# One or more of each kind; tests/simulator sees every deviation on the wire.
SAMPLE = (
    "hello-version-missing",
    "hello-answered-twice",
    "signature-first-half",
    "auth-tenant-of-another",
    "tunnel-id-truncated",
    "remote-port-string-accepted",
    "tunnel-for-any-tenant",
    "heartbeat-every-seventh-lost",
    "error-code-unlisted",
    "error-quotes-token",
    "tenant-connections-late",
    "output-gzip",
    "input-trailing-comma-accepted",
    "tls-1.2-accepted",
    "websocket-wrong-accept",
)


@pytest.mark.parametrize("deviation", SAMPLE)
def test_a_deviation_fails_by_its_own_requirement(deviation: str, tmp_path: Path) -> None:
    row = REQUIREMENTS[DEVIATIONS[deviation].requirement]
    with simulator(tmp_path, "--deviation", deviation) as profile:
        done = verify("--target-profile", str(profile), "--only", row.id, "--fail-on", "should", *QUICK)
    assert done.code == 1, done.text
    assert f"did not pass: {row.id}" in done.text.replace("CB-MSG-004, ", "")
    assert verdict(done.text, "failed" if row.level is Level.MUST else "warned") == 1
    assert row.demand in " ".join(done.text.split())
    assert "expected" in done.text
    assert "seen" in done.text


# What relays do differently in each chapter that a variant could touch, without the slow cases.
TOUCHED = (
    "CB-HEL-001", "CB-HEL-003", "CB-AUT-001", "CB-AUT-005", "CB-AUT-016", "CB-TUN-001", "CB-TUN-002", "CB-TUN-007",
    "CB-HBT-001", "CB-ERR-001", "CB-UNK-001", "CB-LIM-002", "CB-MSG-002", "CB-MSG-004", "CB-MSG-010", "CB-TEN-002",
    "CB-TEN-006", "CB-TLS-002",
)  # fmt: skip


@pytest.mark.parametrize(
    "variant",
    ["dribble", "indented", "escapes", "extra-members", "no-close-notify", "close-after-error", "merged-answers",
     "websocket-only", "limits-before-validation"],
)  # fmt: skip
def test_a_variant_is_not_accused(variant: str, tmp_path: Path) -> None:
    only = [word for id_ in TOUCHED for word in ("--only", id_)]
    with simulator(tmp_path, "--variant", variant) as profile:
        done = verify("--target-profile", str(profile), *only, "--fail-on", "should", *QUICK)
    assert_green(done)


# One of each kind: order, tokens, tunnels, reading, and a natural reading's alternative.
POINTS = (
    "second-hello-forgets-auth",
    "subject-not-required",
    "tunnel-id-once-on-a-connection",
    "unknown-members-refused",
    "foreign-tenant-as-invalid-token",
)
SHOWING = [word for id_ in (*TOUCHED, *(OPEN_POINTS[id_].requirement for id_ in POINTS)) for word in ("--only", id_)]


@pytest.fixture(scope="module")
def clean_fingerprint(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the fingerprint of the conforming relay, in the rows that the open points here touch."""
    file = tmp_path_factory.mktemp("fingerprint") / "clean.json"
    assert_green(verify("--target-profile", str(clean), *SHOWING, *QUICK, "--fingerprint", str(file)))
    return file


@pytest.mark.parametrize("point", POINTS)
def test_an_open_point_is_not_accused_and_shows_in_its_row(point: str, clean_fingerprint: Path, tmp_path: Path) -> None:
    file = tmp_path / "point.json"
    with simulator(tmp_path, "--open-point", point) as profile:
        done = verify("--target-profile", str(profile), *SHOWING, *QUICK, "--fingerprint", str(file))
    assert done.code == 0, done.text
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (0, 0)
    changes = compare(read_fingerprint(clean_fingerprint), read_fingerprint(file))
    assert {change.what for change in changes} == {OPEN_POINTS[point].requirement}


def test_the_same_relay_gives_the_same_bytes(clean: Path, clean_fingerprint: Path, tmp_path: Path) -> None:
    file = tmp_path / "again.json"
    done = verify("--target-profile", str(clean), *SHOWING, *QUICK, "--fingerprint", str(file), "-n", "2")
    assert_green(done)
    assert file.read_bytes() == clean_fingerprint.read_bytes()


def test_the_samples_are_in_the_catalogues() -> None:
    assert set(SAMPLE) <= set(DEVIATIONS)
    assert "dribble" in VARIANTS


def test_tokens_that_the_relay_doesn_t_know_make_no_refusal_pass(tmp_path: Path) -> None:
    with simulator(tmp_path) as profile:
        other = tmp_path / "other.toml"
        lines = profile.read_text().splitlines()
        known = [line for line in lines if line.startswith(("secret", "development"))]
        assert known
        wrong = 'secret = "not-the-secret-of-this-relay-but-another"'
        other.write_text("\n".join(wrong if line == known[0] else line for line in lines if line not in known[1:]))
        done = verify("--target-profile", str(other), *QUICK, "-k", "authentication or tunnel_management")
    assert done.code == 1
    assert "the suite's tokens are not accepted" in done.text
    assert verdict(done.text, "passed") == 0
    assert verdict(done.text, "inconclusive") > 20
