"""The page of the protocol: messages, order, error codes, requirements, and what the specification leaves open."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from cbspec.catalogue.requirements import CHAPTERS, REQUIREMENTS, Level, Requirement
from cbspec.protocol.codes import FACTS
from cbspec.protocol.state import REQUESTS, TABLE, Rule, Serve, State, diagram
from cbspec_conformance.reporting.fingerprint import read_fingerprint
from cbspec_schemas import examples, load
from cbspec_simulator import OPEN_POINTS
from tests.repo.markdown import table
from tests.repo.tree import ROOT

FINGERPRINT: Final = ROOT / "docs" / "reference" / "simulator.fingerprint.json"
"""The measured behaviour of the simulator: `make verify ARGS="--fingerprint FILE"`."""

_MESSAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "HEL": ("hello", "hello_response"),
    "AUT": ("auth", "auth_response"),
    "TUN": ("tunnel_info", "tunnel_response"),
    "HBT": ("heartbeat", "heartbeat_response"),
    "ERR": ("error",),
}


def protocol() -> dict[str, str]:
    """Return the parts of the page."""
    levels = Counter(row.level for row in REQUIREMENTS.values())
    head = ("state", *(f"`{request.type}`" for request in REQUESTS))
    states = (state for state in State if state is not State.CLOSED)
    rules = ([state.value, *(_rule(TABLE[state, request]) for request in REQUESTS)] for state in states)
    chapters = {chapter: title for chapter, title in CHAPTERS.items() if any(_rows(chapter))}
    return {
        "counts": f"{len(REQUIREMENTS)} requirements: {', '.join(f'{levels[level]} {level}' for level in Level)}",
        "points": str(sum(map(_is_open, REQUIREMENTS.values()))),
        "diagram": diagram().strip(),
        "rules": table(head, rules),
        "chapters": "\n\n".join("\n\n".join(_chapter(*each)) for each in chapters.items()),
    }


def _rule(rule: Rule) -> str:
    if isinstance(rule, Serve):
        return f"`{rule.answer.type}`, then {rule.then.value} ({rule.requirement})"
    return f"error `{rule.code}`: {rule.text} ({rule.requirement})"


def _rows(chapter: str) -> list[Requirement]:
    return [row for row in REQUIREMENTS.values() if row.chapter == chapter]


def _chapter(chapter: str, title: str) -> Iterator[str]:
    yield f"## {title}"
    for name in _MESSAGES.get(chapter, ()):
        yield from _message(name)
    if chapter == "ERR":
        yield f"### Error codes\n\n{_codes()}"
    demands = [(row.id, row.level, _demand(row)) for row in _rows(chapter) if row.level is not Level.INFO]
    if demands:
        yield table(("id", "level", "demand"), demands)
    if points := [row for row in _rows(chapter) if _is_open(row)]:
        yield "The specification should say:\n\n" + "\n".join(map(_open_point, points))


def _is_open(row: Requirement) -> bool:
    return row.level is Level.INFO or bool(_choices(row))


def _demand(row: Requirement) -> str:
    return f"{row.demand} Not tested: {row.untestable}" if row.untestable else row.demand


def _message(name: str) -> Iterator[str]:
    schema = load(name)
    (page,) = (each.text for each in examples() if each.name == f"{name}-page")
    yield f"### `{name}`\n\n{schema['description']}"
    yield f"```json\n{json.dumps(json.loads(page))}\n```"
    members = ((f"`{key}`", _value(each), _blamed(each), each["description"]) for key, each in _members(schema))
    if any(_members(schema)):
        yield table(("member", "value", "requirements", "meaning"), members)


def _members(schema: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, each) for name, each in schema["properties"].items() if name != "type"]


def _value(schema: Mapping[str, Any]) -> str:
    """Return the values that a schema of a member allows, in words."""
    match schema:
        case {"enum": _}:
            return "one of the codes below"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"whole number from {least} to {most}"
        case {"type": "array", "items": {"type": kind}}:
            return f"array of {kind}s"
        case {"minLength": 1}:
            return f"{schema['type']}, not empty"
        case _:
            return str(schema["type"])


def _blamed(schema: Mapping[str, Any]) -> str:
    comments = " ".join(re.findall(r'"\$comment": "(.*?)"', json.dumps(schema)))
    return ", ".join(dict.fromkeys(re.findall(r"CB-\w+-\d+", comments)))


def _codes() -> str:
    rows = (
        (
            f"`{code}`",
            facts.meaning,
            f"after {facts.base_delay:g} s" if facts.base_delay is not None else "no",
            ", ".join(row.id for row in REQUIREMENTS.values() if code in f"{row.section} {row.demand}"),
        )
        for code, facts in FACTS.items()
    )
    return table(("code", "meaning", "retried by deployed clients", "requirements"), rows)


def _open_point(row: Requirement) -> str:
    """Return a point of the specification that is open, with the behaviour of implementations."""
    point = f"{row.demand} {row.why}" if row.level is Level.INFO else f"Is this right? {row.demand}"
    lines = [f"- **{row.id}** {point}"]
    if seen := _seen(row.id):
        lines.append(f"  - The simulator: {seen}.")
    lines += [f"  - Another choice, `{name}`: {sentence}" for name, sentence in _choices(row)]
    if row.deployed:
        lines.append(f"  - {row.deployed}")
    return "\n".join(lines)


def _choices(row: Requirement) -> list[tuple[str, str]]:
    return [(point.id, point.sentence) for point in OPEN_POINTS.values() if point.requirement == row.id]


def _seen(id_: str) -> str:
    row = _behaviour().get(id_)
    seen = {case: what.replace("refused: ", "refused with ") for case, what in (row.seen if row else {}).items()}
    return "; ".join(f"{case}: {what}" if case else what for case, what in seen.items())


@cache
def _behaviour() -> Mapping[str, Any]:
    return read_fingerprint(FINGERPRINT).rows
