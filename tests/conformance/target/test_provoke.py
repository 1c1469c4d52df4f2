"""Conditions that an address, a command or an HTTP call establishes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cbspec.profile.profile import Action, Condition, Endpoint, HttpCall, Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.provoke import provoked, until


def profile(condition: Condition) -> Profile:
    return Profile(conditions={"unavailable": condition})


def writes(file: Path, word: str) -> Action:
    """Return a command that appends a word to a file."""
    return Action(command=(sys.executable, "-c", f"open({str(file)!r}, 'a').write({word!r})"))


def fails(word: str) -> Action:
    """Return a command that fails with this message."""
    return Action(command=(sys.executable, "-c", f"import sys; sys.exit({word!r})"))


def test_undeclared_condition_names_its_key() -> None:
    with pytest.raises(NotExercised, match=r"conditions\.unavailable"), provoked(Profile(), "unavailable"):
        pytest.fail("it began")


def test_condition_without_an_action_names_its_keys() -> None:
    empty = profile(Condition(limit=3))
    with pytest.raises(NotExercised, match=r"conditions\.unavailable\.begin"), provoked(empty, "unavailable"):
        pytest.fail("it began")


def test_address_in_the_condition_needs_no_action(tmp_path: Path) -> None:
    file = tmp_path / "log"
    address = Endpoint("127.0.0.1", 9)
    condition = Condition(target=address, begin=writes(file, "begin"), end=writes(file, "end"))
    with provoked(profile(condition), "unavailable") as (given, at):
        assert (given, at) == (condition, address)
    assert not file.exists()


def test_commands_begin_and_end_the_condition(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with provoked(profile(Condition(begin=writes(file, "b"), end=writes(file, "e"))), "unavailable") as (_, at):
        assert at is None
        assert file.read_text() == "b"
    assert file.read_text() == "be"


def test_condition_ends_after_a_failed_case(tmp_path: Path) -> None:
    file = tmp_path / "log"
    condition = Condition(begin=writes(file, "b"), end=writes(file, "e"))
    with pytest.raises(Broken), provoked(profile(condition), "unavailable"):
        raise Broken("a", "b")
    assert file.read_text() == "be"


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition(begin=fails("no such relay")), r"conditions\.unavailable\.begin: .*ended with 1: no such relay"),
        (Condition(begin=Action(command=("/nonexistent/cbspec",))), r"conditions\.unavailable\.begin: "),
        (Condition(begin=Action(http=HttpCall("http://127.0.0.1:9/"))), r"conditions\.unavailable\.begin: "),
        (Condition(begin=Action(http=HttpCall("nonsense"))), r"conditions\.unavailable\.begin: "),
    ],
    ids=["command-fails", "no-command", "no-server", "no-url"],
)
def test_failed_begin_is_inconclusive(condition: Condition, words: str) -> None:
    with pytest.raises(Inconclusive, match=words), provoked(profile(condition), "unavailable"):
        pytest.fail("it began")


def test_failed_end_is_inconclusive(tmp_path: Path) -> None:
    condition = Condition(begin=writes(tmp_path / "log", "b"), end=fails("stuck"))
    with (
        pytest.raises(Inconclusive, match=r"conditions\.unavailable\.end: "),
        provoked(profile(condition), "unavailable"),
    ):
        pass


class Http(BaseHTTPRequestHandler):
    """Records every call; the path selects the status."""

    calls: list[tuple[str, str, bytes, str | None]]

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.calls.append((self.command, self.path, body, self.headers.get("X-Key")))
        self.send_response(500 if self.path == "/broken" else 204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def http() -> Iterator[tuple[str, list[tuple[str, str, bytes, str | None]]]]:
    """Yield the address of an HTTP server and its list of calls."""
    calls: list[tuple[str, str, bytes, str | None]] = []
    handler = type("Handler", (Http,), {"calls": calls})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
        server.shutdown()
        thread.join()


def test_http_calls_are_those_of_the_profile(http: tuple[str, list[Any]]) -> None:
    address, calls = http
    begin = Action(http=HttpCall(f"{address}/drain", "PUT", '{"on":true}', {"X-Key": "k"}))
    end = Action(http=HttpCall(f"{address}/serve"))
    with provoked(profile(Condition(begin=begin, end=end)), "unavailable"):
        assert calls == [("PUT", "/drain", b'{"on":true}', "k")]
    assert calls[1:] == [("POST", "/serve", b"", None)]


def test_http_error_is_inconclusive(http: tuple[str, list[Any]]) -> None:
    begin = Action(http=HttpCall(f"{http[0]}/broken"))
    with pytest.raises(Inconclusive, match="500"), provoked(profile(Condition(begin=begin)), "unavailable"):
        pytest.fail("it began")


def test_attempts_repeat_until_success() -> None:
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Inconclusive("not yet")

    until(Condition(settle=30), attempt, (Inconclusive,))
    assert attempts == 3


def test_last_error_is_raised_after_the_time_limit() -> None:
    def attempt() -> None:
        raise Inconclusive("never")

    with pytest.raises(Inconclusive, match="never"):
        until(Condition(settle=0.0), attempt, (Inconclusive,))


def test_other_errors_stop_the_attempts() -> None:
    def attempt() -> None:
        raise Broken("a", "b")

    with pytest.raises(Broken):
        until(Condition(settle=30), attempt, (Inconclusive,))
