"""The suite as a command: arguments, exit codes, selectors, time limit, JUnit XML."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import trustme

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import main
from cbspec.redact import has_token
from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.judging.verdicts import TIME_UP
from tests.conformance.commands import Done, run, simulator, verdict, verify
from tests.support.relay import over_tls, read_to_end, server, serving, tolerant


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the profile of a conforming relay."""
    with simulator(tmp_path_factory.mktemp("relay")) as profile:
        yield profile


def assert_no_target(done: Done, *words: str) -> None:
    """Check for exit code 3 and a message of one line."""
    assert done.code == 3, done.text
    lines = [line for line in done.text.splitlines() if any(word in line for word in words)]
    assert len(lines) == 1, done.text
    assert all(word in lines[0] for word in words)
    assert "Traceback" not in done.text
    assert "Requirements by chapter" not in done.text


def test_without_a_listener_there_is_nothing_to_judge() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert_no_target(verify(address, "--wait", "0.3"), "cbspec: nothing to judge", address, "waited 0.3 s")


def test_the_time_limit_ends_the_preflight_of_a_silent_port() -> None:
    with serving(tolerant(read_to_end)) as endpoint:
        began = time.monotonic()
        assert_no_target(verify(str(endpoint), "--max-time", "1"), "nothing to judge", "--max-time")
        assert time.monotonic() - began < 60


def test_a_web_server_is_no_relay(tmp_path: Path) -> None:
    def web(tls: ssl.SSLSocket) -> None:
        tls.recv(10_000)
        tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    chain, profile = tmp_path / "server.pem", tmp_path / "profile.toml"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
    with serving(tolerant(over_tls(server(chain), web))) as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\n[tls]\nverify = false\n')
        assert_no_target(verify("--profile", str(profile)), "speaks HTTP", "websocket_path")


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["127.0.0.1:8080", "-n", "2"], ["--target=127.0.0.1:8080", "-n=2"]),
        (["--only", "CB-TUN-004", "[::1]:80"], ["--target=[::1]:80", "--only=CB-TUN-004"]),
        (
            ["--target", "127.0.0.1:80", "--wait", "2.5", "-xvv"],
            ["--target=127.0.0.1:80", "--wait=2.5", "--fail-fast", "-v", "-v"],
        ),
        (["--profile", "p.toml", "--pytest=-p 'no:a b'"], ["--target-profile=p.toml", "-p", "no:a b"]),
        (["--shuffle=7", "--ca", "system", "--level=must"], ["--ca=system", "--level=must", "--shuffle=7"]),
    ],
)
def test_the_command_passes_its_options_to_pytest(
    given: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Mock(return_value=pytest.ExitCode.TESTS_FAILED)
    monkeypatch.setattr(pytest, "main", ran)
    assert main(["verify", *given]) == 1
    ran.assert_called_once_with([*PYTEST_OPTIONS, str(SUITE), *passed])


def test_wrong_usage_has_its_own_exit_code(tmp_path: Path) -> None:
    done = verify("--only", "CB-TUN-0004", folder=tmp_path)
    assert done.code == 4, done.text
    assert "CB-TUN-004" in done.text
    assert "Traceback" not in done.text


def test_an_embedded_simulator_that_does_not_start_is_no_relay(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert_no_target(verify(CBSPEC_STATE_DIR=str(tmp_path)), "the embedded simulator did not start", "ca.")


@pytest.mark.parametrize("option", ["--junit-xml", "--results"])
def test_a_file_that_cannot_be_written_does_not_prevent_the_report(option: str, relay: Path) -> None:
    done = verify("--profile", str(relay), "--only", "CB-CMP-002", option, "/dev/full")
    assert done.code == 0, done.text
    assert verdict(done.text, "passed") == 1
    assert done.text.count("No space left on device") == 1
    assert not {"Traceback", "None"} & set(re.findall(r"\w+", done.text))


def test_an_unusable_state_folder_is_wrong_use(relay: Path) -> None:
    done = verify("--profile", str(relay), CBSPEC_STATE_DIR="/proc/absent")
    assert (done.code, "/proc/absent" in done.text) == (4, True), done.text


def test_a_selector_without_cases_is_an_error(relay: Path) -> None:
    done = verify("--profile", str(relay), "-k", "no_such_case")
    assert done.code == 3, done.text


def test_every_requirement_can_be_selected_without_a_relay() -> None:
    ids = [row.id for row in REQUIREMENTS.values() if not row.untestable]
    done = verify("127.0.0.1:1", "--collect-only", "-q", *[word for id_ in ids for word in ("--only", id_)])
    assert done.code == 0, json.dumps(done.text[-400:])
    assert "test_hello_is_answered" in done.text


def test_the_suite_runs_from_a_checkout_through_pytest(relay: Path) -> None:
    root = Path(__file__).parents[3]
    done = run(
        *("-m", "pytest", "conformance/", "--target-profile", str(relay), "--only", "cb-cmp-002"), folder=root
    )  # fmt: skip
    assert done.code == 0, done.text
    assert verdict(done.text, "passed") == 1
    assert "A partial run" in done.text


def test_a_run_that_exceeds_its_time_reports_its_results(tmp_path: Path) -> None:
    with simulator(tmp_path, "--variant", "slow") as profile:
        began = time.monotonic()
        junit = tmp_path / "report.xml"
        options = ("--max-time", "15", "-k", "message_types", "--junit-xml", str(junit))
        done = verify("--profile", str(profile), *options)
        took = time.monotonic() - began
    assert done.code == 1, done.text
    assert "the time given by --max-time was up" in " ".join(done.text.split())
    assert verdict(done.text, "passed") > 0
    assert verdict(done.text, "not exercised") > 0
    assert verdict(done.text, "failed") == 0
    assert took < 60
    messages = [each.get("message", "") for each in ElementTree.parse(junit).iter("error")]  # noqa: S314 - our own
    assert any(TIME_UP in message for message in messages)


def test_junit_xml_names_the_requirement_of_each_case_and_shows_no_token(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    only = ("--only", "CB-AUT-002,CB-TUN-007", "--only", "CB-LIM-001", "--own-cases", "--effort", "quick")
    with simulator(tmp_path, "--deviation", "auth-client-id-missing") as profile:
        done = verify("--profile", str(profile), *only, "--junit-xml", str(report), "-n", "2", "-vv")
    assert done.code == 1, done.text
    named = {}
    for suite in ElementTree.parse(report).iter("testsuite"):  # noqa: S314 - our own file
        properties = {each.get("name"): each.get("value", "") for each in suite.iter("property")}
        named[properties["requirement"]] = [case.get("name", "") for case in suite.iter("testcase")]
    assert named.keys() == {"CB-AUT-002", "CB-TUN-007", "CB-LIM-001"}
    assert all(name.startswith(id_) for id_, names in named.items() for name in names)
    assert '"token":"***"' in done.text
    assert not has_token(done.text + report.read_text())
