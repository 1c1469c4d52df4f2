"""A fault: what goes wrong and when, read from a scenario or a request, with every mistake named at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Self

from cbspec.documents import kind as json_kind
from cbspec_simulator.base.values import FLAG, NAME, number
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import FaultKind
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, Per, When

THROUGH: Final = "pass"
"""Stands in a sequence for a message that is let through."""

_PLAIN: Final = When()
_KEYS: Final = ("name", "kind", "sequence", "repeat", "when")


class FaultError(Exception):
    """A fault can't be used; each of `problems` names one mistake and the way out."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Part:
    """One kind with its parameters; without a kind it lets a message through."""

    kind: FaultKind | None
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The kind's name, or "pass"."""
        return self.kind.name if self.kind else THROUGH

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written in a scenario, without what goes without saying."""
        known = self.kind.params if self.kind else {}
        said = {name: value for name, value in self.params.items() if value is not known[name].default}
        return {"kind": self.name, **said}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong (`parts`, one strike after the other) and when; `repeat` begins anew behind the last part."""

    name: str
    parts: tuple[Part, ...]
    when: When = field(default_factory=When)
    repeat: bool = True
    direction: MessageDirection = MessageDirection.ANSWER

    @classmethod
    def read(cls, data: object) -> Self:
        """Return the fault that a JSON object or a TOML table describes.

        Raises FaultError, with every mistake that it holds.
        """
        reader = _Reader()
        read = reader.fault(data)
        if reader.problems:
            raise FaultError(reader.problems)
        return cls(**read)

    def part(self, turn: int) -> Part | None:
        """Return what is done in the so-manieth turn, from 1; behind the last part nothing, unless they repeat."""
        if turn > len(self.parts) and not self.repeat:
            return None
        return self.parts[(turn - 1) % len(self.parts)]

    def concerns(self, occasion: Occasion) -> bool:
        """Say whether the fault can strike at such an occasion at all, by its direction and its transport."""
        if self.direction is not occasion.direction:
            return False
        return not occasion.transport or all(
            part.kind is None or occasion.transport in part.kind.transports for part in self.parts
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fault as it is written in a scenario."""
        said: dict[str, Any] = {"name": self.name} if self.name else {}
        if len(self.parts) == 1 and self.repeat:
            said |= self.parts[0].to_json()
        else:
            said |= {"sequence": [part.to_json() for part in self.parts], "repeat": self.repeat}
        when = {each.name: getattr(self.when, each.name) for each in fields(When)}
        when = {name: value for name, value in when.items() if value != getattr(_PLAIN, name)}
        return {**said, "when": when} if when else said


class _Reader:
    """Reads one fault; what is wrong with it ends in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def fault(self, data: object) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.problems.append(f"a fault must be a table with a kind, not {json_kind(data)}")
            return {}
        name = data.get("name", "")
        if "name" in data and not NAME.good(name):
            self.problems.append(f"name: must be {NAME.wanted}, not {_seen(name)}")
        parts = self._parts(data)
        kinds = [part.kind for part in parts if part.kind is not None]
        if parts and not kinds:
            self.problems.append(f'sequence: holds nothing but "{THROUGH}"')
        when = self._when(data.get("when", {}))
        repeat = data.get("repeat", "sequence" not in data)
        if not FLAG.good(repeat):
            self.problems.append(f"repeat: must be {FLAG.wanted}, not {_seen(repeat)}")
        elif "repeat" in data and "sequence" not in data:
            self.problems.append("repeat: belongs to a sequence; when.times says how often a single kind strikes")
        direction = self._direction(kinds, when)
        self._fits(kinds, when, direction)
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
        self._unknown("", [key for key in data if key not in _KEYS], _KEYS)
        parts: list[Part] = []
        for number_, item in enumerate(items, 1):
            if isinstance(item, Mapping):
                parts += self._part(item, f"sequence {number_}: ", ("kind",))
            else:
                self.problems.append(f"sequence {number_}: must be a table with a kind, not {json_kind(item)}")
        return parts

    def _part(self, data: Mapping[str, Any], where: str, own: tuple[str, ...]) -> list[Part]:
        name = data.get("kind")
        if name == THROUGH and where:
            return [Part(None, {})]
        if not isinstance(name, str) or name not in KINDS:
            near = get_close_matches(str(name), KINDS, n=3) if name is not None else []
            hint = f"did you mean {' or '.join(near)}?" if near else "cbspec fault kinds lists them"
            said = f"{where}kind: is missing" if name is None else f"{where}kind: there is no kind {name!r:.60}"
            self.problems.append(f"{said}; {hint}")
            return []
        kind = KINDS[name]
        self._unknown(where, [key for key in data if key not in (*own, *kind.params)], (*kind.params, *own))
        params = {}
        for key, param in kind.params.items():
            if key not in data:
                if param.required:
                    self.problems.append(f"{where}{key}: {name} needs it: {param.value.meaning}")
                params[key] = param.default
            elif param.value.good(data[key]):
                params[key] = data[key]
            else:
                self.problems.append(f"{where}{key}: must be {param.value.wanted}, not {_seen(data[key])}")
        if kind.some and not any(key in data for key in kind.params):
            self.problems.append(f"{where}{name} needs one of {', '.join(kind.params)} at least")
        return [Part(kind, params)]

    def _when(self, data: object) -> When:
        if not isinstance(data, Mapping):
            self.problems.append(f"when: must be a table, not {json_kind(data)}")
            return When()
        self._unknown("when.", [key for key in data if key not in CONDITIONS], tuple(CONDITIONS))
        right: dict[str, Any] = {}
        for key, value in data.items():
            if key in CONDITIONS and CONDITIONS[key].good(value):
                right[key] = value
            elif key in CONDITIONS:
                self.problems.append(f"when.{key}: must be {CONDITIONS[key].wanted}, not {_seen(value)}")
        if right.get("end") is not None and right["end"] <= right.get("begin", 0.0):
            self.problems.append("when.end: must be more than when.begin")
        if "nth" in right and not When(**{key: right[key] for key in ("nth", "every", "after") if key in right}).chosen(
            right["nth"]
        ):
            self.problems.append("when.nth: every and after leave it out, so that nothing would ever happen")
        if "direction" in right:
            right["direction"] = MessageDirection(right["direction"])
        if "per" in right:
            right["per"] = Per(right["per"])
        return When(**right)

    def _direction(self, kinds: Sequence[FaultKind], when: When) -> MessageDirection:
        """Return where the fault strikes: as its condition says, or else where its kind usually does."""
        if not kinds:
            return MessageDirection.ANSWER
        common = [direction for direction in kinds[0].directions if all(direction in kind.directions for kind in kinds)]
        by_message = dict.fromkeys(REQUESTS, MessageDirection.REQUEST) | dict.fromkeys(ANSWERS, MessageDirection.ANSWER)
        said = {when.direction, by_message.get(when.message or ""), MessageDirection.ANSWER if when.answer_to else None}
        wanted = said - {None}
        names = " and ".join(dict.fromkeys(kind.name for kind in kinds))
        if len(wanted) > 1:
            self.problems.append("when: direction, message and answer_to contradict each other")
        elif not common:
            self.problems.append(f"sequence: {names} strike at different points, so they can't follow each other")
        elif wanted and not wanted <= set(common):
            words = dict(zip(MessageDirection, ("new connections", "requests", "answers"), strict=True))
            can = " or ".join(words[direction] for direction in common)
            meant = words[next(one for one in wanted if one is not None)]
            hint = "; message says at which" if common == [MessageDirection.REQUEST] and when.answer_to else ""
            self.problems.append(f"when: {names} strikes at {can}, not at {meant}{hint}")
        else:
            return next((one for one in wanted if one is not None), common[0])
        return MessageDirection.ANSWER

    def _fits(self, kinds: Sequence[FaultKind], when: When, direction: MessageDirection) -> None:
        """See that a condition doesn't ask for what isn't known where the fault strikes."""
        said = [name for name in CONDITIONS if getattr(when, name) != getattr(_PLAIN, name)]
        standing = next((kind.name for kind in kinds if kind.standing), None)
        if standing is not None and len(kinds) > 1:
            self.problems.append(f"sequence: {standing} holds all the time, so it can't be part of one")
        for name in said:
            if standing is not None and name not in (*LASTING, "direction"):
                self.problems.append(f"when.{name}: {standing} holds all the time; only {' and '.join(LASTING)} apply")
            elif direction is MessageDirection.CONNECT and (
                name in ("tenant", "subject", "transport") or (name == "per" and when.per is not Per.CONNECTION)
            ):
                self.problems.append(f"when.{name}: isn't known yet when a connection is made")
        if when.transport is not None:
            for kind in kinds:
                if when.transport not in kind.transports:
                    self.problems.append(f"when.transport: {kind.name} is a fault of {' and '.join(kind.transports)}")

    def _unknown(self, prefix: str, keys: Sequence[str], known: Sequence[str]) -> None:
        for key in keys:
            near = [] if key in CONDITIONS else get_close_matches(str(key), known, n=1)
            if prefix != "when.":
                near = near or [f"when.{name}" for name in get_close_matches(str(key), CONDITIONS, n=1, cutoff=0.8)]
            rest = f", and in when: {', '.join(CONDITIONS)}" if "when" in known else ""
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}{rest}"
            self.problems.append(f"{prefix}{key}: unknown key; {hint}")


def _seen(value: object) -> str:
    if isinstance(value, str):
        return f"{value!r:.60}"
    if isinstance(value, list | dict):
        return f"{value!r:.60}"
    return f"{value!s:.60}" if number(value) else json_kind(value)
