"""`cbspec load` against a conforming relay, and against relays with rare violations; the settings of its clients."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from cbspec.cli import main
from cbspec.cli.load_settings import Settings, aim_facts, invariants, token_source
from cbspec.redact import find_tokens
from cbspec.tokens.jws import claims_of
from cbspec_client import Passed
from cbspec_client.conversation import Blame, Exchanged
from cbspec_simulator import LocalRelay
from tests.conformance.build import error
from tests.support.few import few

PATIENCE = 60.0
STARTED: list[subprocess.Popen[str]] = []
FAST = ("--rate", "100", "--hold", "0")
SETTINGS = Settings("127.0.0.1:8080", "", "auto", ("tenant-001",), 1.0, 2.0, 3.0, again=True, user_file="")


@pytest.fixture(scope="module")
def relay() -> Iterator[LocalRelay]:
    with LocalRelay(config={"relay": {"buffer_pool": 1000}}) as relay:
        yield relay


def address(relay: LocalRelay) -> str:
    return "{}:{}".format(*relay.address)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "cbspec", "load", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _end_processes() -> Iterator[None]:
    """End the processes of a failed test."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()


def load(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, standard output and standard error."""
    with start(*arguments) as process:
        out, errors = process.communicate(timeout=PATIENCE)
    assert not find_tokens(out + errors)
    assert "Traceback" not in errors
    return process.returncode, out, errors


def free_port() -> int:
    """Return a port below those that the system gives to connections, so that no other test takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def rows(prefix: Path, what: str) -> list[dict[str, str]]:
    with Path(f"{prefix}_{what}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def violated(out: str) -> dict[str, int]:
    return {requirement: int(times) for requirement, times in re.findall(r"^(CB-\S+) was violated (\d+) t", out, re.M)}


def test_sessions_over_websocket_are_counted_and_checked(relay: LocalRelay, tmp_path: Path) -> None:
    prefix = tmp_path / "csv"
    with contextlib.ExitStack() as stack:
        for nth, how in ((5, "length-not-minimal"), (15, "binary")):
            when = {"message": "heartbeat_response", "nth": nth}
            stack.enter_context(relay.fault("websocket-broken-frame", how=how, when=when))
        code, out, errors = load(
            *(address(relay), "--sessions", "40", "--rate", "40", "--hold", "0.2", "--transport", "websocket"),
            *("--csv", str(prefix)),
        )
    assert (code, violated(out)) == (1, {"CB-WSK-002": 1, "CB-WSK-005": 1})
    assert "of 40 sessions begun" in errors or "Aggregated" in errors
    counted = {row["Name"]: row for row in rows(prefix, "stats")}
    for name in ("connect", "hello", "auth", "tunnel_info", "heartbeat"):
        assert (counted[name]["Type"], counted[name]["Request Count"]) == ("websocket", "40")
        assert float(counted[name]["Max Response Time"]) > 0
    assert not any(find_tokens(file.read_text()) for file in tmp_path.iterdir())


RARE: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("wrong-id", "tunnel_response", {}, "CB-TUN-002"),
    ("duplicate", "heartbeat_response", {}, "CB-MSG-004"),
    ("unsolicited", "tunnel_response", {"place": "before"}, "CB-MSG-004"),
    ("wrong-type", "tunnel_response", {}, "CB-TUN-001"),
    ("damage-utf-8", "heartbeat_response", {}, "CB-MSG-001"),
    ("wrong-tenant", "auth_response", {}, "CB-AUT-003"),
    ("missing-member", "hello_response", {"member": "version"}, "CB-HEL-002"),
)


def test_violations_and_refusals_are_counted(relay: LocalRelay, tmp_path: Path) -> None:
    prefix, token = tmp_path / "csv", relay.token()
    with contextlib.ExitStack() as stack:
        faults = [
            stack.enter_context(relay.fault(kind, **params, when={"message": message, "nth": 12 * place}))
            for place, (kind, message, params, _) in enumerate(RARE, start=1)
        ]
        stack.enter_context(relay.fault("error", code="server_unavailable", when={"message": "auth", "nth": 3}))
        when = {"message": "auth_response", "nth": 5}
        stack.enter_context(relay.fault("member", member="status", value=token, when=when))
        code, out, errors = load(address(relay), "--sessions", "120", *FAST, "--csv", str(prefix))
        assert [fault.strikes for fault in faults] == [1] * len(RARE)
    expected = Counter(["CB-AUT-001", *(requirement for *_, requirement in RARE)])  # a status other than ok
    assert (code, violated(out), errors.count("WARNING")) == (1, expected, 0)
    assert re.search(r'CB-TUN-002 was violated 1 times: expected tunnel_id "\S+", as asked; seen: tunnel_id', out)
    assert "111 succeeded, 9 failed" in out
    failures = Counter({row["Error"]: 0 for row in rows(prefix, "failures")})
    for row in rows(prefix, "failures"):
        failures[row["Error"]] += int(row["Occurrences"])
    assert failures.items() >= {**expected, "server_unavailable": 1}.items()
    assert token[:40] not in "".join([out, errors, *(file.read_text() for file in tmp_path.iterdir())])


def test_ctrl_c_before_any_session_ends_quietly(relay: LocalRelay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with start(address(relay), "--worker", "--master-address", f"127.0.0.1:{server.getsockname()[1]}") as process:
            server.accept()[0].close()
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (out, "Traceback" in errors, "KeyboardInterrupt" in errors) == ("", False, False)


@pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGINT], 2))
def test_an_interruption_prints_the_summary(number: int, relay: LocalRelay) -> None:
    with start(address(relay), "--sessions", "10000", "--rate", "30", "--hold", "0") as process:
        assert process.stderr is not None
        assert "of 10000 sessions begun" in process.stderr.readline()
        process.send_signal(number)
        out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert re.match(r"\d+ sessions: [1-9]\d* succeeded, 0 failed", out)
    assert "Traceback" not in errors


def test_the_sessions_of_a_killed_worker_are_lost(relay: LocalRelay) -> None:
    at = ("--master-address", f"127.0.0.1:{free_port()}")
    options = ("--sessions", "20", "--rate", "100", "--hold", "3")
    workers = [start(address(relay), "--worker", *at, *options) for _ in range(2)]
    with start(address(relay), "--master", *at, *options, "--workers", "2") as master:
        assert master.stderr is not None
        while "20 of 20 sessions begun" not in master.stderr.readline():
            assert master.poll() is None
        workers[0].kill()
        out, errors = master.communicate(timeout=PATIENCE)
    for worker in workers:
        worker.communicate(timeout=PATIENCE)
    assert master.returncode == 1
    assert "Traceback" not in errors
    assert "\n10 of them were lost with their worker\n" in out
    assert "20 sessions: 10 succeeded" in out


def test_the_web_page_shows_the_load_and_no_token(relay: LocalRelay) -> None:
    page = f"127.0.0.1:{free_port()}"
    with start(address(relay), "--sessions", "5", *FAST, "--web", "--web-address", page) as process:
        assert process.stderr is not None
        while "all sessions have ended" not in process.stderr.readline():
            assert process.poll() is None
        texts = []
        for path in ("/", "/stats/requests", "/exceptions", "/logs", "/stats/report"):
            with urllib.request.urlopen(f"http://{page}{path}", timeout=PATIENCE) as answer:
                texts.append(answer.read().decode())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    counted = {row["name"]: row["num_requests"] for row in json.loads(texts[1])["stats"]}
    assert counted["heartbeat"] == 5
    assert not any(find_tokens(text) for text in texts)


def test_user_defined_clients(relay: LocalRelay, tmp_path: Path) -> None:
    file = tmp_path / "restless.py"
    file.write_text(
        "from cbspec_client.load import LoadClient, RelayUser\n"
        "class Restless(RelayUser):\n"
        "    def talk(self, relay: LoadClient) -> None:\n"
        "        relay.hello()\n"
        "        relay.authenticate()\n"
        "        for _ in range(7):\n"
        "            relay.heartbeat()\n"
    )
    prefix = tmp_path / "csv"
    amount = ("--sessions", "3", "--rate", "9", "--csv", str(prefix))
    code, out, _ = load(address(relay), *amount, "--user", str(file), "--", "--html", str(tmp_path / "report.html"))
    assert code == 0
    assert out == "3 sessions: 3 succeeded, 0 failed\nall exchanges were checked: no protocol violation\n"
    assert "heartbeat" in (tmp_path / "report.html").read_text()
    counted = {row["Name"]: row["Request Count"] for row in rows(prefix, "stats")}
    assert counted["heartbeat"] == "21"
    assert "tunnel_info" not in counted


@pytest.mark.parametrize(("role", "host"), [("master", "127.0.0.1"), ("web", "::1")])
def test_a_port_in_use_is_named(role: str, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        at = f"{f'[{host}]' if ':' in host else host}:{server.getsockname()[1]}"
        assert main(["load", "127.0.0.1:1", f"--{role}", f"--{role}-address", at]) == 4
    assert capsys.readouterr().err == f"cbspec: --{role}-address {at}: Address already in use; use another address\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["relay.example:8080"], "no tenant is known"),
        ([], "no relay is named"),
        (["127.0.0.1:1"], "nothing to judge: no connection to 127.0.0.1:1: "),
        (["127.0.0.1:1", "--user", "nowhere.py"], "nowhere.py: no such file"),
        (["127.0.0.1:1", "--csv", f"{__file__}/x"], "File exists; use another prefix"),
        (["127.0.0.1:1", "--profile", "nowhere.toml"], "nowhere.toml: can't be read"),
        (["127.0.0.1:1", "--web", "--web-address", "a..b:1"], "--web-address a..b:1: this is not a valid host name"),
        (["127.0.0.1:1", "--sessions", "0"], "whole number from 1"),
        (["127.0.0.1:1", "--rate", "0"], "more than 0"),
        (["127.0.0.1:1", "--hold", "-1"], "must be a number from 0 to 86400"),
        (["here"], "must be host:port"),
    ],
)
def test_mistakes_are_named(options: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", *options]) == (3 if "nothing to judge" in reason else 4)
    assert reason in capsys.readouterr().err


def test_the_transport_option_overrides_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('[target]\naddress = "127.0.0.1:1"\ntransport = "websocket"\nwebsocket_path = "/ws"\n')
    named = replace(SETTINGS, address="", profile_file=str(file), transport=None)
    assert named.profile().target.transport == "websocket"
    profile = replace(named, transport="tcp").profile()
    facts = aim_facts(profile)
    assert (facts["host"], facts["port"], facts["transport"], facts["path"]) == ("127.0.0.1", 1, "tcp", "/ws")


def test_clients_alternate_between_tenants() -> None:
    give = token_source(SETTINGS.profile(), ["tenant-001", "tenant-002"])
    given = [give() for _ in range(4)]
    assert [tenant for _, tenant in given] == ["tenant-001", "tenant-002"] * 2
    assert [claims_of(token)["tenant_id"] for token, _ in given] == [tenant for _, tenant in given]
    assert len({token for token, _ in given}) == 4


def test_the_observer_checks_for_secrets_and_redacts_tokens() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
    sent = Passed(sent=True, text=b'{"type":"auth","token":"' + token.encode() + b'"}', message=None)
    answer = b'{"type":"auth_response","status":"ok","client_id":"x","tenant_id":"' + token.encode() + b'"}'
    received = Passed(sent=False, text=answer, message=None)
    (blame,) = invariants(())(Exchanged(sent, (received,), "tenant-001"))
    assert blame.requirement == "CB-AUT-003"
    assert token[:30] not in blame.expected + blame.seen
    message = json.dumps(error(message="tenant-002 owns it")).encode()
    secret = Exchanged(None, (Passed(sent=False, text=message, message=None),), "tenant-001")
    assert [blame.requirement for blame in invariants(("tenant-002",))(secret)] == ["CB-ERR-004", "CB-MSG-004"]
    assert invariants(("tenant-002",))(replace(secret, tenant="tenant-002")) == [Blame("CB-MSG-004", ANY, ANY)]
