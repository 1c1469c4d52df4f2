"""The suite as a command: exit codes, one line where there is nothing to judge, selectors, time, JUnit XML."""

from __future__ import annotations

import json
import socket
import ssl
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.redact import has_token
from cbspec_conformance.judging.errors import NoRoom
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.runner.plugin import until_room
from tests.conformance.commands import Done, run, simulator, verdict, verify
from tests.conformance.memory import ManualClock
from tests.support.relay import over_tls, read_to_end, server, serving, tolerant


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the profile of a conforming relay."""
    with simulator(tmp_path_factory.mktemp("relay")) as profile:
        yield profile


@pytest.fixture(scope="module")
def other_identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a server's certificate whose CA nobody here trusts."""
    file = tmp_path_factory.mktemp("other") / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    return file


def assert_no_target(done: Done, *words: str) -> None:
    """See that there was one line, and exit code 3."""
    assert done.code == 3, done.text
    told = [line for line in done.text.splitlines() if any(word in line for word in words)]
    assert len(told) == 1, done.text
    assert all(word in told[0] for word in words)
    assert "Traceback" not in done.text
    assert "Requirements by chapter" not in done.text


# ---------------------------------------------------------------------------- nothing to judge


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert_no_target(verify(f"127.0.0.1:{port}"), "nothing to judge", f"127.0.0.1:{port}", "--wait")


def test_waiting_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert_no_target(verify(f"127.0.0.1:{port}", "--wait", "0.3"), "nothing to judge", "waited 0.3 s")


def test_a_port_without_tls_is_one_line() -> None:
    def web(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(tolerant(web)) as endpoint:
        assert_no_target(verify(str(endpoint)), "doesn't speak TLS", str(endpoint))


def test_a_port_that_only_closes_is_one_line() -> None:
    with serving(tolerant(lambda sock: None)) as endpoint:
        assert_no_target(verify(str(endpoint)), "no TLS behind it", str(endpoint))


def test_time_may_be_up_before_a_silent_port_has_answered() -> None:
    with serving(tolerant(read_to_end)) as endpoint:
        began = time.monotonic()
        assert_no_target(verify(str(endpoint), "--max-time", "1"), "nothing to judge", "--max-time")
        assert time.monotonic() - began < 60


def test_a_certificate_that_isn_t_vouched_for_ends_the_run_before_any_token(other_identity: Path) -> None:
    heard: list[bytes] = []

    def listen(tls: ssl.SSLSocket) -> None:
        heard.append(read_to_end(tls))

    with serving(tolerant(over_tls(server(other_identity), listen))) as endpoint:
        done = verify(str(endpoint))
    assert_no_target(done, "certificate", "is not accepted", "No token was sent")
    assert b"".join(heard) == b""


def test_a_web_server_behind_tls_is_no_relay(other_identity: Path, tmp_path: Path) -> None:
    def web(tls: ssl.SSLSocket) -> None:
        tls.recv(10_000)
        tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with serving(tolerant(over_tls(server(other_identity), web))) as endpoint:
        profile = tmp_path / "profile.toml"
        profile.write_text(f'[target]\naddress = "{endpoint}"\n[tls]\nverify = false\n')
        assert_no_target(verify("--target-profile", str(profile)), "speaks HTTP", "websocket_path")


# ---------------------------------------------------------------------------- a relay that speaks, but wrongly


def test_a_relay_of_tls_1_2_alone_is_a_failed_requirement(other_identity: Path, tmp_path: Path) -> None:
    context = server(other_identity)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(tolerant(over_tls(context, read_to_end))) as endpoint:
        profile = tmp_path / "profile.toml"
        profile.write_text(f'[target]\naddress = "{endpoint}"\n[tls]\nverify = false\n')
        done = verify("--target-profile", str(profile), "--only", "CB-TLS-001", "--only", "CB-HEL-001")
    assert done.code == 1, done.text
    assert verdict(done.text, "failed") == 1
    assert verdict(done.text, "passed") == 0
    assert "CB-TLS-001" in done.text


# ---------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["relay-without-port"], "--target: "),
        (["--only", "CB-TUN-0004"], "CB-TUN-004"),
        (["--only", "CB-TLS-007"], "has no case"),
        (["--target-profile", "nowhere.toml"], "nowhere.toml"),
        (["--fail-on", "never"], "invalid choice"),
        (["--max-time", "soon"], "--max-time"),
        (["--no-such-option"], "--no-such-option"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_and_has_a_code_of_its_own(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = verify(*arguments, folder=tmp_path)
    assert done.code == 4, done.text
    assert words in done.text
    assert "Traceback" not in done.text


def test_a_selector_that_matches_nothing_is_an_error(relay: Path) -> None:
    done = verify("--target-profile", str(relay), "-k", "no_such_case")
    assert done.code == 5, done.text


def test_one_requirement_alone(relay: Path, tmp_path: Path) -> None:
    done = verify("--target-profile", str(relay), "--only", "cb-tun-004", folder=tmp_path)
    assert done.code == 0, done.text
    assert verdict(done.text, "passed") == 1
    assert "A partial run" in done.text


def test_collecting_needs_no_relay(tmp_path: Path) -> None:
    done = verify("127.0.0.1:1", "--collect-only", "-q", folder=tmp_path)
    assert done.code == 0, done.text
    assert "test_hello_is_answered" in done.text


def test_the_suite_runs_from_a_checkout_through_pytest_itself(relay: Path) -> None:
    root = Path(__file__).parents[3]
    done = run(
        "-m", "pytest", "conformance/", "--target-profile", str(relay), "--only", "CB-HEL-001", folder=root
    )  # fmt: skip
    assert done.code == 0, done.text
    assert verdict(done.text, "passed") == 1


# ---------------------------------------------------------------------------- time


def test_a_run_ends_in_time_with_what_it_has(tmp_path: Path) -> None:
    with simulator(tmp_path, "--variant", "slow") as profile:
        began = time.monotonic()
        done = verify("--target-profile", str(profile), "--max-time", "15", "-p", "no:randomly", "-k", "message_types")
        took = time.monotonic() - began
    assert done.code == 1, done.text
    assert "the time given by --max-time was up" in " ".join(done.text.split())
    assert verdict(done.text, "passed") > 0
    assert verdict(done.text, "not exercised") > 0
    assert verdict(done.text, "failed") == 0
    assert took < 60


# ---------------------------------------------------------------------------- what machines read


def test_junit_xml_names_the_requirement_of_each_case(relay: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    only = ["--only", "CB-HEL-001", "--only", "CB-TUN-007", "--only", "CB-LIM-001"]
    done = verify("--target-profile", str(relay), *only, "--junit-xml", str(report), "-n", "2")
    assert done.code == 0, done.text
    cases = ElementTree.parse(report).findall(".//testcase")  # noqa: S314 - our own file
    named = [
        [each.get("value") for each in case.iter("property") if each.get("name") == "requirement"] for case in cases
    ]
    assert all(len(names) == 1 for names in named)
    assert {name for names in named for name in names} == {"CB-HEL-001", "CB-TUN-007", "CB-LIM-001"}


def test_a_failure_shows_nobody_s_token(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    with simulator(tmp_path, "--deviation", "auth-client-id-missing") as profile:
        done = verify(
            "--target-profile", str(profile), "--only", "CB-AUT-002", "--junit-xml", str(report), "-vv"
        )  # fmt: skip
    assert done.code == 1, done.text
    assert '"token":"***"' in done.text
    for text in (done.text, report.read_text()):
        assert not has_token(text)


def test_verdicts_are_the_same_whoever_writes_them(relay: Path, tmp_path: Path) -> None:
    """A plain run and one with two workers come to the same table."""
    chapters = ["-k", "message_types", "--examples", "3"]
    texts = [verify("--target-profile", str(relay), *chapters, *more).text for more in ([], ["-n", "2"])]
    tables = [[line for line in text.splitlines() if line.startswith("  CB-")] for text in texts]
    assert tables[0] == tables[1]
    assert len(tables[0]) >= 5


def test_every_requirement_can_be_asked_for() -> None:
    ids = [row.id for row in REQUIREMENTS.values() if not row.untestable]
    done = verify("127.0.0.1:1", "--collect-only", "-q", *[word for id_ in ids for word in ("--only", id_)])
    assert done.code == 0, json.dumps(done.text[-400:])


@pytest.mark.parametrize("back_after", [0.0, 1.0, 4.5, 60.0])
def test_a_case_without_room_is_tried_again_as_long_as_a_relay_has(back_after: float) -> None:
    clock, closed = ManualClock(), []
    relay: Any = SimpleNamespace(tempo=Tempo(5.0), clock=clock, close=lambda: closed.append(clock.now))

    def case() -> None:
        if clock.now - began < back_after:
            raise NoRoom("full")

    for _ in range(3):
        began = clock.now
        if back_after <= 5.0:
            until_room(relay, case)
        else:
            with pytest.raises(NoRoom):
                until_room(relay, case)
    waited = 10.0 if back_after > 5.0 else 3 * back_after  # after two cases in vain it isn't waited for any more
    assert waited <= clock.now <= waited + 3 * 2.0
    assert bool(closed) is (back_after > 0)
