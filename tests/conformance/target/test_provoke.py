"""Conditions that somebody else brings about: an address, a command, an HTTP call."""

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
    """Return a command that leaves a word in a file."""
    return Action(command=(sys.executable, "-c", f"open({str(file)!r}, 'a').write({word!r})"))


def fails(word: str) -> Action:
    """Return a command that fails and says why."""
    return Action(command=(sys.executable, "-c", f"import sys; sys.exit({word!r})"))


def test_a_condition_that_the_profile_doesn_t_know_names_its_key() -> None:
    with pytest.raises(NotExercised, match=r"conditions\.unavailable"), provoked(Profile(), "unavailable"):
        pytest.fail("it began")


def test_a_condition_without_a_way_names_its_keys() -> None:
    empty = profile(Condition(limit=3))
    with pytest.raises(NotExercised, match=r"conditions\.unavailable\.begin"), provoked(empty, "unavailable"):
        pytest.fail("it began")


def test_an_address_where_it_holds_already_needs_no_action(tmp_path: Path) -> None:
    file = tmp_path / "log"
    where = Endpoint("127.0.0.1", 9)
    condition = Condition(target=where, begin=writes(file, "begin"), end=writes(file, "end"))
    with provoked(profile(condition), "unavailable") as (given, at):
        assert (given, at) == (condition, where)
    assert not file.exists()


def test_commands_bring_it_about_and_take_it_away(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with provoked(profile(Condition(begin=writes(file, "b"), end=writes(file, "e"))), "unavailable") as (_, at):
        assert at is None
        assert file.read_text() == "b"
    assert file.read_text() == "be"


def test_it_is_taken_away_also_when_the_case_fails(tmp_path: Path) -> None:
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
def test_a_way_that_doesn_t_work_is_inconclusive(condition: Condition, words: str) -> None:
    with pytest.raises(Inconclusive, match=words), provoked(profile(condition), "unavailable"):
        pytest.fail("it began")


def test_an_end_that_doesn_t_work_is_inconclusive(tmp_path: Path) -> None:
    condition = Condition(begin=writes(tmp_path / "log", "b"), end=fails("stuck"))
    with (
        pytest.raises(Inconclusive, match=r"conditions\.unavailable\.end: "),
        provoked(profile(condition), "unavailable"),
    ):
        pass


class Http(BaseHTTPRequestHandler):
    """Takes note of every call; the path says how it answers."""

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
        """Keep quiet."""


@pytest.fixture
def http() -> Iterator[tuple[str, list[tuple[str, str, bytes, str | None]]]]:
    """Give the address of an HTTP server, and the calls that it got."""
    calls: list[tuple[str, str, bytes, str | None]] = []
    handler = type("Handler", (Http,), {"calls": calls})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
        server.shutdown()
        thread.join()


def test_http_calls_are_made_as_the_profile_has_them(http: tuple[str, list[Any]]) -> None:
    address, calls = http
    begin = Action(http=HttpCall(f"{address}/drain", "PUT", '{"on":true}', {"X-Key": "k"}))
    end = Action(http=HttpCall(f"{address}/serve"))
    with provoked(profile(Condition(begin=begin, end=end)), "unavailable"):
        assert calls == [("PUT", "/drain", b'{"on":true}', "k")]
    assert calls[1:] == [("POST", "/serve", b"", None)]


def test_an_http_error_is_inconclusive(http: tuple[str, list[Any]]) -> None:
    begin = Action(http=HttpCall(f"{http[0]}/broken"))
    with pytest.raises(Inconclusive, match="500"), provoked(profile(Condition(begin=begin)), "unavailable"):
        pytest.fail("it began")


def test_an_attempt_is_made_until_it_works() -> None:
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Inconclusive("not yet")

    until(Condition(settle=30), attempt, (Inconclusive,))
    assert attempts == 3


def test_the_last_attempt_s_error_is_raised_when_time_is_up() -> None:
    def attempt() -> None:
        raise Inconclusive("never")

    with pytest.raises(Inconclusive, match="never"):
        until(Condition(settle=0.0), attempt, (Inconclusive,))


def test_other_errors_end_the_attempts() -> None:
    def attempt() -> None:
        raise Broken("a", "b")

    with pytest.raises(Broken):
        until(Condition(settle=30), attempt, (Inconclusive,))
