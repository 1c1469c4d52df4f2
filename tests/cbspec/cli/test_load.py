"""`cbspec load` against a conforming relay, and against relays with rare violations."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbspec.cli import main
from cbspec_simulator import LocalRelay

PATIENCE = 60.0
STARTED: list[subprocess.Popen[str]] = []
JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}")


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
def _none_stays() -> Iterator[None]:
    """End the processes of a failed test."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()


def load(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, standard output and standard error."""
    with start(*arguments) as process:
        said, errors = process.communicate(timeout=PATIENCE)
    assert not JWT.search(said + errors)
    assert "Traceback" not in errors
    return process.returncode, said, errors


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def rows(prefix: Path, what: str) -> list[dict[str, str]]:
    with Path(f"{prefix}_{what}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_sessions_on_a_conforming_relay(relay: LocalRelay, transport: str, tmp_path: Path) -> None:
    prefix = tmp_path / "csv"
    options = ("--sessions", "40", "--rate", "40", "--hold", "0.2", "--transport", transport, "--csv", str(prefix))
    code, said, errors = load(address(relay), *options)
    assert (code, said) == (
        0,
        "40 sessions: 40 succeeded, 0 failed\nall exchanges were checked: no protocol violation\n",
    )
    assert "of 40 sessions begun" in errors or "Aggregated" in errors
    counted = {row["Name"]: row for row in rows(prefix, "stats")}
    for name in ("connect", "hello", "auth", "tunnel_info", "heartbeat"):
        assert (counted[name]["Type"], counted[name]["Request Count"]) == (transport, "40")
        assert float(counted[name]["Max Response Time"]) > 0
    assert not any(JWT.search(file.read_text()) for file in tmp_path.iterdir())


RARE: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("wrong-id", "tunnel_response", {}, "CB-TUN-002"),
    ("duplicate", "heartbeat_response", {}, "CB-MSG-004"),
    ("unsolicited", "tunnel_response", {"place": "before"}, "CB-MSG-004"),
    ("wrong-type", "tunnel_response", {}, "CB-TUN-001"),
    ("damage-utf-8", "heartbeat_response", {}, "CB-MSG-001"),
    ("wrong-tenant", "auth_response", {}, "CB-AUT-003"),
    ("missing-member", "hello_response", {"member": "version"}, "CB-HEL-002"),
)


def test_a_violation_in_one_message_is_attributed_to_its_requirement(relay: LocalRelay, tmp_path: Path) -> None:
    prefix = tmp_path / "csv"
    with contextlib.ExitStack() as stack:
        faults = [
            stack.enter_context(relay.fault(kind, **params, when={"message": message, "nth": 12 * place}))
            for place, (kind, message, params, _) in enumerate(RARE, start=1)
        ]
        options = ("--sessions", "120", "--rate", "120", "--hold", "0", "--csv", str(prefix))
        code, said, _ = load(address(relay), *options)
        assert [fault.strikes for fault in faults] == [1] * len(RARE)
    expected = Counter(requirement for *_, requirement in RARE)
    found = re.findall(r"^(CB-\S+) was violated (\d+) times", said, re.MULTILINE)
    assert (code, {requirement: int(times) for requirement, times in found}) == (1, expected)
    assert "113 succeeded, 7 failed" in said
    failures = Counter({row["Error"]: 0 for row in rows(prefix, "failures")})
    for row in rows(prefix, "failures"):
        failures[row["Error"]] += int(row["Occurrences"])
    assert failures == expected


def test_a_violation_in_one_of_500_sessions_is_detected() -> None:
    config = {"relay": {"buffer_pool": 1000}}
    with LocalRelay(
        persona="rare-tunnel-id", config=config
    ) as relay:  # the digest of an id decides whether it is returned wrong
        code, said, errors = load(address(relay), "--sessions", "210", "--rate", "210", "--hold", "0")
    assert (code, errors.count("WARNING")) == (1, 0)
    assert "210 sessions: 209 succeeded, 1 failed" in said
    assert "CB-TUN-002 was violated 1 times: expected tunnel_id 'load-200', as asked; seen: tunnel_id" in said


@pytest.mark.parametrize(("how", "requirement"), [("length-not-minimal", "CB-WSK-002"), ("binary", "CB-WSK-005")])
def test_a_violation_of_websocket_rules_is_detected(relay: LocalRelay, how: str, requirement: str) -> None:
    options = ("--sessions", "20", "--rate", "100", "--hold", "0", "--transport", "websocket")
    with relay.fault("websocket-broken-frame", how=how, when={"message": "heartbeat_response", "every": 15}):
        code, said, _ = load(address(relay), *options)
    assert code == 1
    assert re.findall(r"^(CB-\S+) was violated", said, re.MULTILINE) == [requirement]


def test_refusals_are_counted_by_code(relay: LocalRelay, tmp_path: Path) -> None:
    prefix = tmp_path / "csv"
    with relay.fault("error", code="server_unavailable", when={"message": "auth", "every": 4}):
        options = ("--sessions", "20", "--rate", "100", "--hold", "0", "--csv", str(prefix))
        code, said, _ = load(address(relay), *options)
    assert code == 1
    assert "no protocol violation" in said
    (row,) = rows(prefix, "failures")
    assert (row["Name"], row["Error"], row["Occurrences"]) == ("auth", "server_unavailable", "5")


def test_a_token_in_an_answer_is_redacted(relay: LocalRelay, tmp_path: Path) -> None:
    token = relay.token()
    with relay.fault("member", member="status", value=token, when={"message": "auth_response", "every": 5}):
        code, said, errors = load(address(relay), "--sessions", "10", "--hold", "0", "--csv", str(tmp_path / "csv"))
    assert code == 1
    shown = "".join([said, errors, *(file.read_text() for file in tmp_path.iterdir())])
    assert token[:40] not in shown


def test_ctrl_c_prints_the_summary_so_far(relay: LocalRelay) -> None:
    with start(address(relay), "--sessions", "10000", "--rate", "30", "--hold", "0") as process:
        assert process.stderr is not None
        assert "of 10000 sessions begun" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert re.match(r"\d+ sessions: [1-9]\d* succeeded, 0 failed", said)
    assert "Traceback" not in errors


def test_sessions_restart_until_the_run_time_ends(relay: LocalRelay) -> None:
    options = ("--sessions", "3", "--rate", "100", "--hold", "0", "--run-time", "3s")
    code, said, _ = load(address(relay), *options)
    assert code == 0
    (begun,) = re.findall(r"^(\d+) sessions:", said)
    assert int(begun) > 3


def test_a_master_and_two_workers(relay: LocalRelay, tmp_path: Path) -> None:
    at = ("--master-address", f"127.0.0.1:{free_port()}")
    prefix = tmp_path / "csv"
    hold = ("--hold", "0.2")
    amount = ("--sessions", "60", "--rate", "60", "--workers", "2", "--csv", str(prefix))
    with relay.fault("wrong-id", when={"message": "tunnel_response", "every": 50}):
        workers = [start(address(relay), "--worker", *at, *hold) for _ in range(2)]
        code, said, _ = load(address(relay), "--master", *at, *hold, *amount)
        for worker in workers:
            worker.communicate(timeout=PATIENCE)
    assert code == 1
    assert "60 sessions: 59 succeeded, 1 failed" in said
    assert "CB-TUN-002 was violated 1 times" in said
    assert [worker.returncode for worker in workers] == [0, 0]
    assert {row["Name"]: row["Request Count"] for row in rows(prefix, "stats")}["auth"] == "60"


def test_a_worker_that_dies(relay: LocalRelay) -> None:
    at = ("--master-address", f"127.0.0.1:{free_port()}")
    options = ("--sessions", "20", "--rate", "100", "--hold", "6")
    workers = [start(address(relay), "--worker", *at, *options) for _ in range(2)]
    with start(address(relay), "--master", *at, *options, "--workers", "2") as master:
        assert master.stderr is not None
        while "20 of 20 sessions begun" not in master.stderr.readline():
            assert master.poll() is None
        workers[0].kill()
        said, errors = master.communicate(timeout=PATIENCE)
    for worker in workers:
        worker.communicate(timeout=PATIENCE)
    assert master.returncode == 1
    assert "Traceback" not in errors
    assert "\n10 of them were lost with their worker\n" in said
    assert "20 sessions: 10 succeeded" in said


def test_options_after_two_dashes_are_passed_to_locust(relay: LocalRelay, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    options = ("--sessions", "10", "--rate", "100", "--hold", "0", "--", "--processes", "2", "--html", str(report))
    code, said, _ = load(address(relay), *options)
    assert (code, said.splitlines()[0]) == (0, "10 sessions: 10 succeeded, 0 failed")
    assert "heartbeat" in report.read_text()
    assert not JWT.search(report.read_text())
    code, _, errors = load(address(relay), "--", "--no-such-option")
    assert (code, "--no-such-option" in errors) == (2, True)


def test_the_web_page_shows_the_load_and_no_token(relay: LocalRelay) -> None:
    page = f"127.0.0.1:{free_port()}"
    options = ("--sessions", "5", "--rate", "100", "--hold", "0", "--web", "--web-address", page)
    with start(address(relay), *options) as process:
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
    assert not any(JWT.search(text) for text in texts)


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
    code, said, _ = load(address(relay), "--sessions", "3", "--rate", "9", "--user", str(file), "--csv", str(prefix))
    assert (code, said[:9]) == (0, "3 session")
    counted = {row["Name"]: row["Request Count"] for row in rows(prefix, "stats")}
    assert counted["heartbeat"] == "21"
    assert "tunnel_info" not in counted


@pytest.mark.parametrize("role", ["master", "web"])
def test_a_port_that_is_taken(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = "{}:{}".format(*server.getsockname())
        assert main(["load", "127.0.0.1:1", f"--{role}", f"--{role}-address", at]) == 2
    assert capsys.readouterr().err == f"cbspec: --{role}-address {at}: Address already in use; use another address\n"


def test_a_port_of_ipv6_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        at = f"[::1]:{server.getsockname()[1]}"
        assert main(["load", "127.0.0.1:1", "--web", "--web-address", at]) == 2
    assert capsys.readouterr().err == f"cbspec: --web-address {at}: Address already in use; use another address\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label empty or too long"), "this is not a valid host name"),
    ],
)
def test_an_unknown_host_name(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise error

    with monkeypatch.context() as resolving:
        resolving.setattr(socket, "getaddrinfo", unknown)
        assert main(["load", "127.0.0.1:1", "--web", "--web-address", "unknown:1"]) == 2
    assert capsys.readouterr().err == f"cbspec: --web-address unknown:1: {said}; use another address\n"


def test_ctrl_c_while_waiting_for_workers(relay: LocalRelay) -> None:
    port = free_port()
    with start(address(relay), "--master", "--master-address", f"127.0.0.1:{port}") as process:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        end_quietly(process)


def test_ctrl_c_while_waiting_for_the_master(relay: LocalRelay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        at = "{}:{}".format(*server.getsockname())
        with start(address(relay), "--worker", "--master-address", at) as process, server.accept()[0]:
            end_quietly(process)


def test_ctrl_c_while_locust_starts(relay: LocalRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS_LOCUST, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with start(address(relay)) as process:
        ends_quietly(process)


INTERRUPTS_LOCUST = """
import os, signal, sys
if "locust" in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGINT)
"""


def end_quietly(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    ends_quietly(process)


def ends_quietly(process: subprocess.Popen[str]) -> None:
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (said, "Traceback" in errors, "KeyboardInterrupt" in errors) == ("", False, False)


def test_no_relay_listens(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["load", f"127.0.0.1:{port}"]) == 2
    assert capsys.readouterr().err.startswith(f"cbspec: nothing to judge: no connection to 127.0.0.1:{port}: ")


def test_a_server_without_tls(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        address = "{}:{}".format(*server.getsockname())
        command = [sys.executable, "-P", "-m", "cbspec", "load", address]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                server.settimeout(0.2)
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"SSH-2.0-something\r\n")
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(4096)
            assert process.stderr is not None
            said = process.stderr.read()
    assert process.returncode == 2
    assert said.startswith("cbspec: ")
    assert "doesn't speak TLS" in said
    assert len(said.splitlines()) == 1


def test_a_certificate_of_another_ca(
    relay: LocalRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    assert main(["load", address(relay)]) == 2
    assert re.fullmatch(r"cbspec: the certificate of \S+ is not accepted: .*\n", capsys.readouterr().err)


@pytest.mark.parametrize(("options", "said"), [
    (["relay.example:8080"], "no tenant is known"),
    ([], "no relay is named"),
    (["127.0.0.1:1", "--user", "nowhere.py"], "nowhere.py: no such file"),
    (["127.0.0.1:1", "--csv", f"{__file__}/x"], "File exists; use another prefix"),
    (["127.0.0.1:1", "--target-profile", "nowhere.toml"], "nowhere.toml: can't be read"),
    (["127.0.0.1:1", "--sessions", "0"], "whole number from 1"),
    (["127.0.0.1:1", "--rate", "0"], "more than 0"),
    (["127.0.0.1:1", "--hold", "-1"], "number of seconds"),
    (["here"], "must be host:port"),
])  # fmt: skip
def test_mistakes_are_named(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", *options]) == 2
    assert said in capsys.readouterr().err
