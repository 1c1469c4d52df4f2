"""The output of `cbspec connect`, as text or JSON, with tokens redacted."""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from typing import Any

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_client.errors import ClientError, ConnectFailed, Misuse, RelayError, RelayMisbehaved
from cbspec_client.session import Passed

_MASK = "***"
_LONGEST = 2000  # characters of a message that the text output shows


class Display:
    """Prints a session; `secret` (a token or "") is never printed.

    With `as_json`, standard output has a line of JSON per message and a last line with the outcome.
    """

    def __init__(self, secret: str, *, as_json: bool) -> None:
        self._secret = secret
        self._as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            # Not every terminal can encode every character that a relay sends.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def passed(self, passed: Passed) -> None:
        """Print a message."""
        try:
            body = {"message": self._masked(loads(passed.text))}
        except NotStrictJson:
            body = {"text": self._masked(passed.text.decode("utf-8", "backslashreplace"))}
        if self._as_json:
            print(json.dumps({"from": "client" if passed.sent else "relay", **body}), flush=True)
            return
        text = body["text"] if "text" in body else json.dumps(body["message"], ensure_ascii=False)
        print("→" if passed.sent else "←", _printable(text), flush=True)

    def say(self, text: str) -> None:
        """Print a remark, unless the output is JSON."""
        if not self._as_json:
            print(_printable(self._masked(text)), flush=True)

    def warn(self, text: str) -> None:
        """Print a remark to standard error."""
        print(f"cbspec: {_printable(self._masked(text))}", file=sys.stderr, flush=True)

    def succeeded(self) -> None:
        """Print the outcome of a successful session."""
        if self._as_json:
            print(json.dumps({"outcome": "ok"}), flush=True)

    def failed(self, error: ClientError) -> None:
        """Print the error and the next step."""
        outcome, lines = _described(error)
        if self._as_json:
            print(json.dumps({**outcome, "text": self._masked(outcome["text"])}), flush=True)
            return
        for line in lines:
            self.warn(line)

    def _masked(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        match value:
            case str():
                return value.replace(self._secret, _MASK) if self._secret else value
            case list():
                return [self._masked(item) for item in value]
            case dict():
                return {self._masked(name): self._masked(item) for name, item in value.items()}
            case _:
                return value


def _printable(text: str) -> str:
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}… ({len(text)} characters)"


def _described(error: ClientError) -> tuple[dict[str, object], list[str]]:
    """Return the outcome as JSON, and as lines of text."""
    match error:
        case RelayError():
            facts = {"code": error.code, "retryable": error.retryable, "text": error.message}
            known = error.code in set(ErrorCode)
            meaning = FACTS[ErrorCode(error.code)].meaning if known else "not one of the eleven codes"
            retry = "pointless" if not error.retryable else f"possible after {error.base_delay:g} s or more"
            quoted = f'the relay says: "{error.message}"'
            lines = [f"the relay refused: {error.code} ({meaning})", quoted, f"a retry is {retry}"]
            return {"outcome": "refused", **facts}, lines
        case RelayMisbehaved():
            lines = [f"the relay broke the protocol: {error}", f"for details run 'cbspec explain {error.requirement}'"]
            return {"outcome": "misbehaved", "requirement": error.requirement, "text": str(error)}, lines
    outcome = "not connected" if isinstance(error, ConnectFailed | Misuse) else "lost"
    return {"outcome": outcome, "text": str(error)}, [str(error)]
