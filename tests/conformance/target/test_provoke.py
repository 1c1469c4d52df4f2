"""Conditions that no message causes: an address, a command, an HTTP call."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cbspec.profile.profile import Action, Condition, Endpoint, HttpCall, Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.provoke import provoked


def profile(condition: Condition) -> Profile:
    return Profile(conditions={"unavailable": condition})


def writes(file: Path, word: str) -> Action:
    """Return a command that appends a word to a file."""
    return Action(command=(sys.executable, "-c", f"open({str(file)!r}, 'a').write({word!r})"))


FAILING = Action(command=(sys.executable, "-c", "import sys; sys.exit('no such relay')"))


def call(url: str) -> Condition:
    return Condition(begin=Action(http=HttpCall(url)))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (Profile(), NotExercised, "conditions.unavailable"),
        (profile(Condition(limit=3)), NotExercised, r"conditions\.unavailable\.begin"),
        (profile(Condition(begin=FAILING)), Inconclusive, r"unavailable\.begin: .*ended with 1: no such relay"),
        (profile(Condition(begin=Action(command=("/nonexistent/cbspec",)))), Inconclusive, r"unavailable\.begin: "),
        (profile(call("nonsense")), Inconclusive, r"unavailable\.begin: "),
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


class Http(BaseHTTPRequestHandler):
    """Records every call; one path answers with an error."""

    calls: list[tuple[str, str, bytes, str | None]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.calls.append((self.command, self.path, body, self.headers.get("X-Key")))
        self.send_response(500 if self.path == "/broken" else 204)
        self.end_headers()

    do_POST = do_PUT  # noqa: N815 - the library's name

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def http() -> Iterator[tuple[str, list[tuple[str, str, bytes, str | None]]]]:
    """Give the address of an HTTP server and its calls."""
    calls: list[tuple[str, str, bytes, str | None]] = []
    handler = type("Handler", (Http,), {"calls": calls})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
        server.shutdown()
        thread.join()


def test_http_calls_are_made(http: tuple[str, list[Any]]) -> None:
    address, calls = http
    begin = Action(http=HttpCall(f"{address}/drain", "PUT", '{"on":true}', {"X-Key": "k"}))
    end = Action(http=HttpCall(f"{address}/serve"))
    with provoked(profile(Condition(begin=begin, end=end)), "unavailable"):
        assert calls == [("PUT", "/drain", b'{"on":true}', "k")]
    assert calls[1:] == [("POST", "/serve", b"", None)]
    with pytest.raises(Inconclusive, match="500"), provoked(profile(call(f"{address}/broken")), "unavailable"):
        pytest.fail("it began")
