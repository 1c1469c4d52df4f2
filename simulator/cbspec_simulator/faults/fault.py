"""A fault as data: read from a scenario or a request, with every problem reported at once."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from cbspec.documents import INVALID, Converted, DocumentError, DocumentReader, Place, says
from cbspec.documents import kind as json_kind
from cbspec_simulator.base.values import Name
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import FaultKind
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, Per, When

THROUGH: Final = "pass"
"""The part of a sequence that lets a message through."""

_PLAIN: Final = When()
_ANSWER_OF: Final = dict(zip(REQUESTS, ANSWERS, strict=False))
_POINTS: Final = dict(zip(MessageDirection, ("new connections", "requests", "answers"), strict=True))
_FaultName = Annotated[Name, says("the name of the fault (if absent: a number is assigned)")]
_Condition = Annotated[When, says("the condition under which it strikes")]


class FaultError(DocumentError):
    """A fault is invalid; each of `problems` names one problem and its remedy."""


@dataclass(frozen=True, slots=True)
class Part:
    """A kind with its parameters; without a kind it lets a message through."""

    kind: FaultKind | None
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the kind, or "pass"."""
        return self.kind.name if self.kind else THROUGH

    def to_json(self) -> dict[str, Any]:
        """Return the part as in a scenario, without default values."""
        known = self.kind.params if self.kind else {}
        given = {name: _json(value) for name, value in self.params.items() if value is not known[name].default}
        return {"kind": self.name, **given}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its `parts` strike in order when the condition holds, starting over after the last with `repeat`."""

    name: str
    parts: tuple[Part, ...]
    when: When = field(default_factory=When)
    repeat: bool = True
    direction: MessageDirection = MessageDirection.ANSWER

    @classmethod
    def read(cls, data: object) -> Self:
        """Read a fault from a JSON object or a TOML table; raises FaultError with every problem."""
        try:
            read: Self = DocumentReader(Path()).read(data, FaultTable)
        except DocumentError as error:
            raise FaultError(error.problems) from None
        return read

    def part(self, turn: int) -> Part | None:
        """Return the part for the nth turn (1-based), or None after the last one."""
        if turn > len(self.parts) and not self.repeat:
            return None
        return self.parts[(turn - 1) % len(self.parts)]

    def concerns(self, occasion: Occasion) -> bool:
        """Return whether direction and transport allow a strike."""
        kinds = [part.kind for part in self.parts if part.kind is not None]
        known = not occasion.transport or all(occasion.transport in kind.transports for kind in kinds)
        return known and self.direction is occasion.direction

    def to_json(self) -> dict[str, Any]:
        """Return the fault as in a scenario."""
        data: dict[str, Any] = {"name": self.name} if self.name else {}
        if len(self.parts) == 1 and self.repeat:
            data |= self.parts[0].to_json()
        else:
            data |= {"sequence": [part.to_json() for part in self.parts], "repeat": self.repeat}
        when = {each.name: getattr(self.when, each.name) for each in fields(When)}
        when = {name: _json(value) for name, value in when.items() if value != getattr(_PLAIN, name)}
        return {**data, "when": when} if when else data


def _json(value: object) -> object:
    """Return a value as it is written in JSON, a whole number of seconds without a decimal point."""
    match value:
        case Enum():
            return value.value
        case tuple():
            return list(value)
        case float() if value.is_integer():
            return int(value)
    return value


@cache
def kind_table(name: str, *, alone: bool) -> type:
    """Return the dataclass of the table of a kind, or of the part that lets a message through.

    A fault on its own may have a name and a condition, a part of a sequence may not.
    """
    params = [
        (key, param.hint, field() if param.required else field(default_factory=repeat(param.default).__next__))
        for key, param in (KINDS[name].params if name in KINDS else {}).items()
    ]
    common = [("name", _FaultName, field(default="")), ("when", _Condition, field(default=_PLAIN))] if alone else []
    return make_dataclass(name, [("kind", Literal[name]), *params, *common], kw_only=True)


def _read_part(data: object, place: Place, reader: DocumentReader, *, alone: bool = False) -> Any:  # noqa: ANN401
    """Return the instance of the kind's table, or `INVALID`."""
    if not isinstance(data, Mapping):
        reader.report(place, f"must be a table with a kind, not {json_kind(data)}")
        return INVALID
    name = data.get("kind")
    if name == THROUGH and not alone:
        return reader.convert(data, kind_table(THROUGH, alone=False), place)
    if not isinstance(name, str) or name not in KINDS:
        near = get_close_matches(str(name), KINDS, n=3) if name is not None else []
        hint = f"did you mean {' or '.join(near)}?" if near else "`cbspec fault kinds` lists them"
        problem = "is missing" if name is None else f"there is no kind {name!r:.60}"
        reader.report((*place, "kind"), f"{problem}; {hint}")
        return INVALID
    if KINDS[name].some and not any(key in data for key in KINDS[name].params):
        reader.report(place, f"{name} needs at least one of {', '.join(KINDS[name].params)}")
    return reader.convert(data, kind_table(name, alone=alone), place)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTable:
    """The table of a fault with several parts."""

    sequence: Annotated[
        tuple[Annotated[Part, Converted(_read_part)], ...],
        says("the parts, which strike in this order", min_length=1, title="an array of tables that is not empty"),
    ]
    repeat: Annotated[bool, says("whether the sequence starts again after its last part")] = False
    name: _FaultName = ""
    when: _Condition = _PLAIN


def _read_fault(data: object, place: Place, reader: DocumentReader) -> object:
    several = isinstance(data, Mapping) and "sequence" in data
    if isinstance(data, Mapping) and several and "kind" in data:
        reader.report(place, "kind and sequence exclude each other; keep one")
        return INVALID
    if isinstance(data, Mapping) and not several and "repeat" in data:
        reader.report((*place, "repeat"), "needs a sequence; when.times limits the strikes of a single kind")
        data = {key: value for key, value in data.items() if key != "repeat"}
    table = reader.convert(data, SequenceTable, place) if several else _read_part(data, place, reader, alone=True)
    if table is INVALID:
        return INVALID
    parts = tuple(map(_part, table.sequence if several else (table,)))
    kinds = [part.kind for part in parts if part.kind is not None]
    if not kinds:
        reader.report((*place, "sequence"), f'needs a part with a kind other than "{THROUGH}"')
        return INVALID
    direction, problems = _check(kinds, table.when)
    for key, problem in (*problems, *_without_effect(parts, table.when, direction)):
        reader.report((*place, *key.split(".")), problem)
    return Fault(table.name, parts, table.when, not several or table.repeat, direction)


FaultTable = Annotated[Fault, Converted(_read_fault, {"$ref": "#/$defs/fault"})]
"""The type of a fault in a document."""


def _part(table: Any) -> Part:  # noqa: ANN401 - an instance of a kind's table
    if table.kind == THROUGH:
        return Part(None, {})
    return Part(KINDS[table.kind], {name: getattr(table, name) for name in KINDS[table.kind].params})


def _check(kinds: Sequence[FaultKind], when: When) -> tuple[MessageDirection, list[tuple[str, str]]]:
    """Return the direction that the condition demands, or else the default of the kinds, and the contradictions."""
    common = [each for each in MessageDirection if all(each in kind.directions for kind in kinds)]
    by_message = dict.fromkeys(REQUESTS, MessageDirection.REQUEST) | dict.fromkeys(ANSWERS, MessageDirection.ANSWER)
    answers = MessageDirection.ANSWER if when.answer_to else None
    wanted = {when.direction, by_message.get(when.message or ""), answers} - {None}
    direction = next((each for each in (*wanted, *kinds[0].directions) if each in common), MessageDirection.ANSWER)
    problems = []
    if when.end is not None and when.end <= when.begin:
        problems.append(("when.end", "must be more than when.begin"))
    if when.nth is not None and not when.chosen(when.nth):
        problems.append(("when.nth", "every and after exclude it, so the fault would never strike"))
    if wrong := _wrong_point(kinds, common, wanted):
        problems.append(wrong)
        direction = MessageDirection.ANSWER
    return direction, [*problems, *_unsupported(kinds, when, direction)]


def _without_effect(parts: Sequence[Part], when: When, direction: MessageDirection) -> Iterator[tuple[str, str]]:
    """Yield the reasons for which a part can't change the messages of the condition."""
    possible = REQUESTS if direction is MessageDirection.REQUEST else ANSWERS
    if when.message is not None:
        possible = (when.message,)
    elif when.answer_to in _ANSWER_OF:
        possible = (_ANSWER_OF[when.answer_to], "error")
    for part in parts:
        if part.kind is None or part.kind.only is None or direction is MessageDirection.CONNECT:
            continue
        changed = part.kind.only(part.params)
        if set(changed).isdisjoint(possible):
            given = ", ".join(f"{name}={value}" for name, value in part.params.items() if value is not None)
            known = f"it changes {', '.join(changed)}" if changed else "no message has this member"
            yield "when", f"{part.name} ({given}) has no effect on {' or '.join(possible)}: {known}"


def _wrong_point(
    kinds: Sequence[FaultKind], common: Sequence[MessageDirection], wanted: Container[MessageDirection | None]
) -> tuple[str, str] | None:
    """Return the key and the problem if the kinds can't strike at the point that the condition names."""
    names = " and ".join(dict.fromkeys(kind.name for kind in kinds))
    demanded = [each for each in MessageDirection if each in wanted]
    if len(demanded) > 1:
        return "when", "direction, message and answer_to contradict each other"
    if not common:
        return "sequence", f"{names} strike at different points and cannot be combined"
    if not demanded or demanded[0] in common:
        return None
    points = " or ".join(_POINTS[each] for each in common)
    hint = "; use message" if common == [MessageDirection.REQUEST] else ""
    return "when", f"{names} strikes at {points}, not at {_POINTS[demanded[0]]}{hint}"


def _unsupported(kinds: Sequence[FaultKind], when: When, direction: MessageDirection) -> Iterator[tuple[str, str]]:
    """Yield the conditions that the kinds do not support or that are unknown when they strike."""
    standing = next((kind.name for kind in kinds if kind.standing), None)
    if standing is not None and len(kinds) > 1:
        yield "sequence", f"{standing} is in effect all the time and cannot be part of one"
    for name in [name for name in CONDITIONS if getattr(when, name) != getattr(_PLAIN, name)]:
        early = name in ("tenant", "subject", "transport") or (name == "per" and when.per is not Per.CONNECTION)
        lasting = name in LASTING or (name == "after" and when.event)
        if standing is not None and not lasting and name != "direction":
            yield f"when.{name}", f"{standing} is in effect all the time; only {' and '.join(LASTING)} apply"
        elif direction is MessageDirection.CONNECT and early:
            yield f"when.{name}", "is not known yet when a connection opens"
    for kind in kinds:
        if when.transport is not None and when.transport not in kind.transports:
            yield "when.transport", f"{kind.name} only exists on {' and '.join(kind.transports)}"
