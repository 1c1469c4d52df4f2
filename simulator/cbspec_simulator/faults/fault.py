"""A fault as data: read from a scenario or a request, with every problem reported at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Self

from cbspec.documents import kind as json_kind
from cbspec_simulator.base.values import FLAG, NAME, Value, number
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import FaultKind
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, Per, When

THROUGH: Final = "pass"
"""The part of a sequence that lets a message through."""

_PLAIN: Final = When()
_KEYS: Final = ("name", "kind", "sequence", "repeat", "when")
_POINTS: Final = dict(zip(MessageDirection, ("new connections", "requests", "answers"), strict=True))


class FaultError(Exception):
    """A fault is invalid; each of `problems` names one problem and its remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


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
        given = {name: value for name, value in self.params.items() if value is not known[name].default}
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
        reader = _Reader()
        read = reader.fault(data)
        if reader.problems:
            raise FaultError(reader.problems)
        return cls(**read)

    def part(self, turn: int) -> Part | None:
        """Return the part for the nth turn (1-based), or None after the last one."""
        if turn > len(self.parts) and not self.repeat:
            return None
        return self.parts[(turn - 1) % len(self.parts)]

    def concerns(self, occasion: Occasion) -> bool:
        """Return whether direction and transport allow a strike."""
        if self.direction is not occasion.direction:
            return False
        return not occasion.transport or all(
            part.kind is None or occasion.transport in part.kind.transports for part in self.parts
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fault as in a scenario."""
        data: dict[str, Any] = {"name": self.name} if self.name else {}
        if len(self.parts) == 1 and self.repeat:
            data |= self.parts[0].to_json()
        else:
            data |= {"sequence": [part.to_json() for part in self.parts], "repeat": self.repeat}
        when = {each.name: getattr(self.when, each.name) for each in fields(When)}
        when = {name: value for name, value in when.items() if value != getattr(_PLAIN, name)}
        return {**data, "when": when} if when else data


class _Reader:
    """Reads one fault and collects its problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def fault(self, data: object) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.problems.append(f"a fault must be a table with a kind, not {json_kind(data)}")
            return {}
        name = data.get("name", "")
        if "name" in data:
            self._is("name", NAME, name)
        parts = self._parts(data)
        kinds = [part.kind for part in parts if part.kind is not None]
        if parts and not kinds:
            self.problems.append(f'sequence: needs a part with a kind other than "{THROUGH}"')
        when = self._when(data.get("when", {}))
        repeat = data.get("repeat", "sequence" not in data)
        if self._is("repeat", FLAG, repeat) and "repeat" in data and "sequence" not in data:
            self.problems.append("repeat: needs a sequence; when.times limits the strikes of a single kind")
        direction = self._direction(kinds, when)
        self._check_when(kinds, when, direction)
        return {"name": name, "parts": tuple(parts), "when": when, "repeat": repeat, "direction": direction}

    def _parts(self, data: Mapping[str, Any]) -> list[Part]:
        if "sequence" not in data:
            return self._part(data, "", _KEYS)
        if "kind" in data:
            self.problems.append("kind and sequence exclude each other; keep one")
        items = data["sequence"]
        if not isinstance(items, list) or not items:
            seen = "an empty one" if items == [] else json_kind(items)
            self.problems.append(f"sequence: must be an array of tables, not {seen}")
            return []
        self._unknown("", data, _KEYS)
        parts: list[Part] = []
        for place, item in enumerate(items, 1):
            if isinstance(item, Mapping):
                parts += self._part(item, f"sequence {place}: ", ("kind",))
            else:
                self.problems.append(f"sequence {place}: must be a table with a kind, not {json_kind(item)}")
        return parts

    def _part(self, data: Mapping[str, Any], prefix: str, own: tuple[str, ...]) -> list[Part]:
        name = data.get("kind")
        if name == THROUGH and prefix:
            return [Part(None, {})]
        if not isinstance(name, str) or name not in KINDS:
            near = get_close_matches(str(name), KINDS, n=3) if name is not None else []
            hint = f"did you mean {' or '.join(near)}?" if near else "`cbspec fault kinds` lists them"
            problem = "is missing" if name is None else f"there is no kind {name!r:.60}"
            self.problems.append(f"{prefix}kind: {problem}; {hint}")
            return []
        kind = KINDS[name]
        self._unknown(prefix, data, (*kind.params, *own))
        params = {}
        for key, param in kind.params.items():
            if key in data:
                self._is(f"{prefix}{key}", param.value, data[key])
            elif param.required:
                self.problems.append(f"{prefix}{key}: {name} needs it ({param.value.meaning})")
            params[key] = data.get(key, param.default)
        if kind.some and not any(key in data for key in kind.params):
            self.problems.append(f"{prefix}{name} needs at least one of {', '.join(kind.params)}")
        return [Part(kind, params)]

    def _when(self, data: object) -> When:
        if not isinstance(data, Mapping):
            self.problems.append(f"when: must be a table, not {json_kind(data)}")
            return When()
        self._unknown("when.", data, tuple(CONDITIONS))
        keys = {
            key: value
            for key, value in data.items()
            if key in CONDITIONS and self._is(f"when.{key}", CONDITIONS[key], value)
        }
        if "direction" in keys:
            keys["direction"] = MessageDirection(keys["direction"])
        if "per" in keys:
            keys["per"] = Per(keys["per"])
        when = When(**keys)
        if when.end is not None and when.end <= when.begin:
            self.problems.append("when.end: must be more than when.begin")
        if when.nth is not None and not when.chosen(when.nth):
            self.problems.append("when.nth: every and after exclude it, so the fault would never strike")
        return when

    def _direction(self, kinds: Sequence[FaultKind], when: When) -> MessageDirection:
        """Return the direction that the condition demands, or else the default of the kinds."""
        common = [each for each in MessageDirection if all(each in kind.directions for kind in kinds)]
        by_message = dict.fromkeys(REQUESTS, MessageDirection.REQUEST) | dict.fromkeys(ANSWERS, MessageDirection.ANSWER)
        answers = MessageDirection.ANSWER if when.answer_to else None
        wanted = {when.direction, by_message.get(when.message or ""), answers} - {None}
        names = " and ".join(dict.fromkeys(kind.name for kind in kinds))
        if not kinds:
            return MessageDirection.ANSWER
        if len(wanted) > 1:
            self.problems.append("when: direction, message and answer_to contradict each other")
        elif not common:
            self.problems.append(f"sequence: {names} strike at different points and cannot be combined")
        elif wanted and not wanted <= set(common):
            (meant,) = wanted
            points = " or ".join(_POINTS[each] for each in MessageDirection if each in common)
            hint = "; use message" if common == [MessageDirection.REQUEST] and when.answer_to else ""
            self.problems.append(f"when: {names} strikes at {points}, not at {_POINTS[meant or common[0]]}{hint}")
        else:
            default = next(each for each in kinds[0].directions if each in common)
            return next((each for each in wanted if each is not None), default)
        return MessageDirection.ANSWER

    def _check_when(self, kinds: Sequence[FaultKind], when: When, direction: MessageDirection) -> None:
        """Report conditions that the kinds do not support or that are unknown when they strike."""
        standing = next((kind.name for kind in kinds if kind.standing), None)
        if standing is not None and len(kinds) > 1:
            self.problems.append(f"sequence: {standing} is in effect all the time and cannot be part of one")
        for name in [name for name in CONDITIONS if getattr(when, name) != getattr(_PLAIN, name)]:
            early = name in ("tenant", "subject", "transport") or (name == "per" and when.per is not Per.CONNECTION)
            if standing is not None and name not in (*LASTING, "direction"):
                only = " and ".join(LASTING)
                self.problems.append(f"when.{name}: {standing} is in effect all the time; only {only} apply")
            elif direction is MessageDirection.CONNECT and early:
                self.problems.append(f"when.{name}: is not known yet when a connection opens")
        for kind in kinds:
            if when.transport is not None and when.transport not in kind.transports:
                self.problems.append(f"when.transport: {kind.name} only exists on {' and '.join(kind.transports)}")

    def _is(self, place: str, value: Value, seen: object) -> bool:
        if value.good(seen):
            return True
        plain = isinstance(seen, str | list | dict)
        shown = f"{seen!r:.60}" if plain else f"{seen!s:.60}" if number(seen) else json_kind(seen)
        self.problems.append(f"{place}: must be {value.wanted}, not {shown}")
        return False

    def _unknown(self, prefix: str, data: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in data:
            if key in known:
                continue
            near = [] if key in CONDITIONS else get_close_matches(str(key), known, n=1)
            if prefix != "when.":
                near = near or [f"when.{name}" for name in get_close_matches(str(key), CONDITIONS, n=1, cutoff=0.8)]
            rest = f", and in when: {', '.join(CONDITIONS)}" if "when" in known else ""
            hint = f"did you mean {near[0]}?" if near else f"known keys are {', '.join(known)}{rest}"
            self.problems.append(f"{prefix}{key}: unknown key; {hint}")
