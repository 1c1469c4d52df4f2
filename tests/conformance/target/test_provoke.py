"""Conditions that no message causes: an address, a command, an HTTP call."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.profile import Action, Condition, Endpoint, HttpCall, Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.provoke import provoked
from tests.support.relay import serving


def profile(condition: Condition) -> Profile:
    return Profile(conditions={"unavailable": condition})


def writes(file: Path, word: str) -> Action:
    """Return a command that appends a word to a file."""
    return Action(command=(sys.executable, "-c", f"open({str(file)!r}, 'a').write({word!r})"))


FAILING = Action(command=(sys.executable, "-c", "import sys; sys.exit('no such relay')"))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (Profile(), NotExercised, "conditions.unavailable"),
        (profile(Condition(limit=3)), NotExercised, r"conditions\.unavailable\.begin"),
        (profile(Condition(begin=FAILING)), Inconclusive, r"unavailable\.begin: .*ended with 1: no such relay"),
        (profile(Condition(begin=Action(command=("/nonexistent/cbspec",)))), Inconclusive, r"unavailable\.begin: "),
        (profile(Condition(begin=Action(http=HttpCall("nonsense")))), Inconclusive, r"unavailable\.begin: "),
    ],
    ids=["unknown", "no-action", "command-fails", "no-command", "no-url"],
)
def test_a_condition_that_cannot_begin(given: Profile, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words), provoked(given, "unavailable"):
        pytest.fail("it began")


def test_commands_begin_and_end_it_even_if_the_case_fails(tmp_path: Path) -> None:
    file = tmp_path / "log"
    condition = Condition(begin=writes(file, "b"), end=writes(file, "e"))

    def case() -> None:
        with provoked(profile(condition), "unavailable") as (_, at):
            assert (at, file.read_text()) == (None, "b")
            raise Broken("a", "b")

    with pytest.raises(Broken):
        case()
    assert file.read_text() == "be"
    broken, elsewhere = replace(condition, end=FAILING), replace(condition, target=Endpoint("127.0.0.1", 9))
    with pytest.raises(Inconclusive, match=r"unavailable\.end: "), provoked(profile(broken), "unavailable"):
        assert file.read_text() == "beb"
    with provoked(profile(elsewhere), "unavailable") as found:  # an address at which it holds needs no action
        assert found == (elsewhere, elsewhere.target)
    assert file.read_text() == "beb"


def test_http_calls_are_made() -> None:
    calls: list[bytes] = []

    def http(sock: socket.socket) -> None:
        request = b""
        while not request.endswith(b"}" if request.startswith(b"PUT") else b"\r\n\r\n"):
            request += sock.recv(10_000)
        calls.append(request)
        status = b"500 Broken" if b" /broken " in calls[-1] else b"204 Done"
        sock.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    with serving(http) as endpoint:
        begin = Action(http=HttpCall(f"http://{endpoint}/drain", "PUT", '{"on":true}', {"X-Key": "k"}))
        end = Action(http=HttpCall(f"http://{endpoint}/serve"))
        with provoked(profile(Condition(begin=begin, end=end)), "unavailable"):
            (call,) = calls
            assert call.startswith(b"PUT /drain HTTP/1.1")
            assert b"X-Key: k\r\n" in call
            assert call.endswith(b'\r\n\r\n{"on":true}')
        assert calls[1].startswith(b"POST /serve HTTP/1.1")
        broken = Action(http=HttpCall(f"http://{endpoint}/broken"))
        with pytest.raises(Inconclusive, match="500"), provoked(profile(Condition(begin=broken)), "unavailable"):
            pytest.fail("it began")
