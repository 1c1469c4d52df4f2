"""Whether the sentence of a verdict is true of the exchange that is shown with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cbspec.protocol.state import SUCCESS_TYPES

_LINE: Final = re.compile(r"(?P<mark>[> ]) *(?P<at>\d+\.\d+) #(?P<connection>\d+) (?P<arrow>->|<-|--) (?P<text>.*)")
_TYPE: Final = re.compile(r'"type": ?"(\w+)"')
_CODE: Final = re.compile(r"^an error with code [\"'](\w+)[\"']$")
_STATUS: Final = re.compile(r"^an? (\w+_response) with status [\"']ok[\"']$")


@dataclass(frozen=True, slots=True)
class _Line:
    at: float
    decisive: bool
    connection: str
    arrow: str
    text: str

    @property
    def type(self) -> str:
        found = _TYPE.search(self.text)
        return found[1] if found else ""


def untrue(results: Mapping[str, Any]) -> str:
    """Return the first sentence of a run's verdicts that the exchange shown contradicts, or ""."""
    for requirement, verdict in results["requirements"].items():
        for finding in verdict["findings"]:
            if finding["outcome"] in ("failed", "warned") and finding.get("exchange"):
                for why in contradictions(finding["seen"], finding["exchange"]):
                    return f"{requirement}: {finding['seen']!r}, but {why}"
    return ""


def contradictions(seen: str, exchange: str) -> Iterator[str]:
    """Yield what the lines of an exchange show against a sentence about its last request."""
    lines = [
        _Line(float(found["at"]), found["mark"] == ">", found["connection"], found["arrow"], found["text"])
        for found in map(_LINE.match, exchange.splitlines())
        if found is not None
    ]
    # An exchange begins with its decisive lines; those before them may have the same time.
    lines.sort(key=lambda line: (line.at, line.decisive))
    asked = next((line for line in lines if line.decisive and line.arrow == "->"), None)
    complete = "…" not in exchange
    if seen.startswith("no answer") and "came only after" not in seen and asked is not None:
        yield from _against_silence(seen, lines, asked, complete=complete)
    received = [line for line in lines if line.arrow == "<-"]
    if complete and (code := _CODE.match(seen)) and not any(code[1] in line.text for line in received):
        yield f"no message has the code {code[1]}"
    if complete and (status := _STATUS.match(seen)) and not any(line.type == status[1] for line in received):
        yield f"there is no {status[1]}"


def _against_silence(seen: str, lines: list[_Line], asked: _Line, *, complete: bool) -> Iterator[str]:
    after = [line for line in lines[lines.index(asked) + 1 :] if line.connection == asked.connection]
    answers = [line for line in after if line.arrow == "<-"]
    wanted, fences = SUCCESS_TYPES.get(asked.type), {line.type for line in after if line.arrow == "->"}
    ignored = "two later requests were answered" in seen
    if asked.type not in fences and any(line.type == wanted for line in answers if line.decisive or ignored):
        yield f"there is a {wanted}"
    if complete and "the connection was" in seen and not any(line.arrow == "--" for line in after):
        yield "the connection did not end"
    if complete and ignored and len(answers) < 2:
        yield "fewer than two later requests were answered"
