"""`cbspec fault` against a running simulator."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cbspec.cli import main
from cbspec_simulator import Config, Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import CONDITIONS
from cbspec_simulator.settings.config import ControlSettings, Listen
from cbspec_simulator.testing.thread import LoopThread
from tests.support.relay import serving

CONTROL = ControlSettings(port=0, token="let-me-in")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Run a relay with controls in a thread, since the command blocks."""
    thread, found = LoopThread("relay"), Simulator(Config(listen=Listen(port=0), control=CONTROL))
    thread.run(found.start())
    yield found
    thread.run(found.close())
    thread.close()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_CONTROL_TOKEN", "let-me-in")


def run(simulator: Simulator, *arguments: str) -> int:
    return main(["fault", "--url", str(simulator.control_url), *arguments])


def faults(simulator: Simulator) -> list[dict[str, Any]]:
    """Return the faults of the simulator, without their counts."""
    return [active.fault.to_json() for active in simulator.relay.faults.all()]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            "error code=ip_not_allowed tenant=tenant-001 message=tunnel_info nth=3",
            {"code": "ip_not_allowed", "when": {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3}},
        ),
        ("duplicate copies=3 when.times=2", {"copies": 3, "when": {"times": 2}}),
        ("split at=[3,9]", {"at": [3, 9]}),
        ('{"kind":"drop","when":{"nth":2}}', {"kind": "drop", "when": {"nth": 2}}),
    ],
)
def test_a_fault_is_added_listed_and_removed(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], arguments: str, fault: dict[str, Any]
) -> None:
    name = f"x{abs(hash(arguments))}"
    whole = arguments.startswith("{")
    words = [json.dumps({**json.loads(arguments), "name": name})] if whole else [*arguments.split(), f"name={name}"]
    assert run(simulator, "add", *words) == 0
    assert faults(simulator) == [{"name": name, "kind": words[0], **fault}]
    assert run(simulator, "list") == 0
    assert capsys.readouterr().out.count(f"{name} ") == 2
    assert run(simulator, "release", name) == 0
    assert run(simulator, "remove", name) == 0
    assert faults(simulator) == []
    assert run(simulator, "list") == 0
    assert capsys.readouterr().out.endswith("no faults\n")
    assert [run(simulator, "add", "drop"), run(simulator, "reset")] == [0, 0]
    assert faults(simulator) == []


def test_every_kind_and_condition_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "kinds"]) == 0
    text = capsys.readouterr().out
    for kind in KINDS.values():
        assert f"{kind.name} " in text
        assert all(f"   {name}: " in text for name in kind.params)
    assert all(f"   {name}: " in text for name in CONDITIONS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("add eror", "kind: there is no kind 'eror'; did you mean error?"),
        ("add drop nth=x", "when.nth: must be a whole number, 1 or more, not a string"),
        ("add drop nth", "nth: must be written KEY=VALUE"),
        ("add {", "the fault is not JSON"),
        ("release nothing", "there is no fault nothing; there is none"),
    ],
)
def test_mistakes_are_named(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    assert run(simulator, *arguments.split()) == 4
    assert f"cbspec: {text}" in capsys.readouterr().err


def test_the_control_token_is_required(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBSPEC_CONTROL_TOKEN", "wrong")
    assert run(simulator, "list") == 4
    assert (text := capsys.readouterr().err).endswith("; set CBSPEC_CONTROL_TOKEN\n")
    assert "let-me-in" not in text


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:1", 3), ("http://127.0.0.1:x", 4), ("ftp://x", 4)])
def test_an_address_without_a_simulator(capsys: pytest.CaptureFixture[str], url: str, code: int) -> None:
    assert main(["fault", "--url", url, "list"]) == code
    text = capsys.readouterr().err
    assert url in text
    assert "cbspec simulate --control" in text or "must begin with http" in text


@pytest.mark.parametrize(
    "answer", [bytes((21, 3, 3, 0, 2, 2, 10)), b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n\xff"]
)
def test_a_port_that_is_not_the_control_port(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)

    with serving(serve) as endpoint:
        assert main(["fault", "--url", f"http://{endpoint}", "list"]) == 4
    text = f"cbspec: http://{endpoint}: this is not the control port of a simulator; "
    assert capsys.readouterr().err.startswith(text)
