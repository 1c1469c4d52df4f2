"""The output of `cbspec connect`, as text or JSON, with tokens redacted."""

from __future__ import annotations

import json
import sys
import time
from io import TextIOWrapper
from typing import Any

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec.redact import conceal
from cbspec_client.errors import ClientError, ConnectFailed, GaveUp, Misuse, RelayError, RelayMisbehaved
from cbspec_client.events import SessionEnded, SessionEvent, SessionLost
from cbspec_client.exit_causes import exit_code
from cbspec_client.session import Passed
from cbspec_client.status import LiveStatus, facts, told

_MASK = "***"
_LONGEST = 2000  # characters of a message that the text output shows
_ERASE = "\r\x1b[K"


class Display:
    """Prints a session.

    With `as_json`, standard output has a line of JSON per message or event and a last line with the outcome. `status`
    is shown, and kept up to date, in the last line of a terminal.
    """

    def __init__(self, status: LiveStatus, *, as_json: bool) -> None:
        self._secrets: list[str] = []
        self._as_json = as_json
        self._status = status
        self._live = sys.stdout.isatty() and not as_json
        for stream in (sys.stdout, sys.stderr):
            # Not every terminal can encode every character that a relay sends.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def keep_secret(self, token: str) -> str:
        """Print this token never; return it."""
        if token and token not in self._secrets:
            self._secrets.append(token)
        return token

    def passed(self, passed: Passed) -> None:
        """Print a message."""
        try:
            body = {"message": self._masked(loads(passed.text))}
        except NotStrictJson:
            body = {"text": self._masked(passed.text.decode("utf-8", "backslashreplace"))}
        if self._as_json:
            self._print_json({"event": "message", "from": "client" if passed.sent else "relay", **body})
            return
        text = body["text"] if "text" in body else json.dumps(body["message"], ensure_ascii=False)
        self._print(f"{'→' if passed.sent else '←'} {_printable(text)}")

    def happened(self, event: SessionEvent) -> None:
        """Print an event; the last one is printed as the outcome."""
        now = time.monotonic()
        self._status.observe(event, now)
        if self._as_json and not isinstance(event, SessionEnded):
            error = getattr(event, "error", None)
            cause = {} if error is None else {"error": _described(error)[0]}
            self._print_json({"event": event.name, "time": round(time.time(), 3), **facts(event), **cause})
        if isinstance(event, SessionLost):
            self.warn(f"{'the connection was lost' if event.was_up else 'no session'}: {event.error}")
        elif text := told(event):
            self.say(text)

    def refresh(self) -> None:
        """Show the present state in the last line of a terminal."""
        if self._live:
            print(_ERASE + self._status.line(time.monotonic()), end="", flush=True)

    def say(self, text: str) -> None:
        """Print a remark, unless the output is JSON."""
        if not self._as_json:
            self._print(_printable(self._masked(text)))

    def warn(self, text: str) -> None:
        """Print a remark to standard error."""
        if self._live:
            print(_ERASE, end="", flush=True)
        print(f"cbspec: {_printable(self._masked(text))}", file=sys.stderr, flush=True)

    def succeeded(self) -> None:
        """Print the outcome of a successful session."""
        if self._as_json:
            self._print_json({"event": "ended", "outcome": "ok"})
        if self._live:
            print(_ERASE, end="", flush=True)

    def interrupted(self) -> None:
        """Print that the session was interrupted before it was up."""
        if self._as_json:
            self._print_json({"event": "ended", "outcome": "interrupted"})
        self.warn("interrupted")

    def failed(self, error: ClientError) -> None:
        """Print the error and the next step."""
        outcome, lines = _described(error)
        if self._as_json:
            self._print_json({"event": "ended", **outcome, "exit_code": exit_code(error)})
        for line in lines:
            self.warn(line)

    def _print(self, text: str) -> None:
        print(f"{_ERASE if self._live else ''}{text}", flush=True)
        self.refresh()

    def _print_json(self, body: dict[str, Any]) -> None:
        print(json.dumps(self._masked(body)), flush=True)

    def _masked(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        match value:
            case str():
                for secret in self._secrets:
                    value = conceal(value, secret, _MASK)
                return value
            case list():
                return [self._masked(item) for item in value]
            case dict():
                return {self._masked(name): self._masked(item) for name, item in value.items()}
            case _:
                return value


def _printable(text: str) -> str:
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}… ({len(text)} characters)"


def _described(error: ClientError) -> tuple[dict[str, Any], list[str]]:
    """Return the outcome as JSON, and as lines of text."""
    match error:
        case GaveUp(cause=cause, attempts=attempts):
            outcome, lines = _described(cause)
            return {**outcome, "attempts": attempts}, [f"gave up after {attempts} attempts", *lines]
        case RelayError():
            refused = {"code": error.code, "retryable": error.retryable, "text": error.message}
            known = error.code in set(ErrorCode)
            meaning = FACTS[ErrorCode(error.code)].meaning if known else "not one of the eleven codes"
            retry = "useless" if error.base_delay is None else f"possible after {error.base_delay:g} s or more"
            quoted = f'the relay says: "{error.message}"'
            lines = [f"the relay refused: {error.code} ({meaning})", quoted, f"a retry is {retry}"]
            return {"outcome": "refused", **refused}, lines
        case RelayMisbehaved():
            lines = [f"the relay broke the protocol: {error}", f"for details run 'cbspec explain {error.requirement}'"]
            return {"outcome": "misbehaved", "requirement": error.requirement, "text": str(error)}, lines
    outcome = {"outcome": "not connected" if isinstance(error, ConnectFailed | Misuse) else "lost", "text": str(error)}
    return outcome, [str(error)]
