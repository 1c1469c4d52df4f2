"""Failure files: the demand, the breach, and the steps that reproduce it. Tokens are stored as recipes."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from cbspec.catalogue.requirements import UnknownRequirement, find
from cbspec_conformance.failures.recipes import PLACEHOLDER, Recipe
from cbspec_conformance.failures.steps import FailureStep, TransportName, step_from_json
from cbspec_conformance.judging.verdicts import BROKEN, Finding, without_values
from cbspec_conformance.record.conclusions import Expectation

FORMAT: Final = "cbspec-failure-1"
PREFLIGHT: Final = "preflight"  # the case name of a failure from the preflight
LEARNED: Final = "learn::"  # the beginning of the case name of a sequence that was learned

_CASE = msgspec.Meta(pattern=r"^(preflight$|learn::|relay/[A-Za-z0-9_/]+\.py::)")
_OPTION = msgspec.Meta(pattern=r"^--(effort|examples|seed|transport)=[A-Za-z0-9_.]+$|^--tenant=.+$")
_TOKEN_NAME = msgspec.Meta(pattern="^token-[0-9]+$")


class FailureFileError(Exception):
    """A failure file is invalid; the text names the file and the fault."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A failed or warned finding.

    `case` is the case's node id, `options` are the suite's options in that run, `target` and `transport` are the
    relay's, and `exchange` is the exchange as lines of text. `change` is the special thing about its request. `earlier`
    is the number of cases that ended before this one in its run: the failure may depend on them. The run's requirements
    were `only` these (none: all), and it was `narrowed` if it had other selectors. `expectation`, `tokens` and `steps`
    are present if the exchange can be replayed without its case.
    """

    requirement: Annotated[str, msgspec.Meta(pattern="^CB-[A-Z]{3}-[0-9]{3}$")]
    case: Annotated[str, _CASE]
    target: str
    transport: TransportName
    expected: str
    seen: str
    exchange: tuple[str, ...] = ()
    change: str = ""
    earlier: Annotated[int, msgspec.Meta(ge=0)] = 0
    only: tuple[Annotated[str, msgspec.Meta(pattern="^CB-[A-Z]{3}-[0-9]{3}$")], ...] = ()
    narrowed: bool = False
    options: tuple[Annotated[str, _OPTION], ...] = ()
    expectation: Expectation | None = None
    tokens: dict[Annotated[str, _TOKEN_NAME], Recipe] | None = None
    steps: tuple[FailureStep, ...] | None = None

    def __post_init__(self) -> None:
        if self.steps is None:
            return
        if self.expectation is None or self.tokens is None:
            raise ValueError("steps need expectation and tokens")
        used = {match[1] for match in PLACEHOLDER.finditer(json.dumps(msgspec.to_builtins(self.steps)))} - {"run"}
        used |= {recipe.of for recipe in self.tokens.values() if recipe.of}
        if missing := sorted(used - set(self.tokens)):
            raise ValueError(f"tokens lacks {missing[0]}, which the steps use")
        if any(recipe.of and self.tokens[recipe.of].of for recipe in self.tokens.values()):
            raise ValueError("tokens has a forgery of a forgery")

    @property
    def of_a_machine(self) -> bool:
        """Whether `cbspec learn` found it: its case is a sequence of inputs."""
        return self.case.startswith(LEARNED)

    def to_json(self) -> dict[str, Any]:
        """Return the failure as a JSON object, with format, level and demand."""
        row = find(self.requirement)
        head = {"format": FORMAT, "requirement": row.id, "level": row.level.value, "demand": row.demand}
        return {**head, "exchange": (), **msgspec.to_builtins(self)}


def failure_from_json(data: Mapping[str, object]) -> Failure:
    """Return the failure of a JSON object. Raises ValueError."""
    members = {name: value for name, value in data.items() if name not in ("format", "level", "demand")}
    return msgspec.convert(members, Failure, dec_hook=_convert)


def failures_of(
    findings: Sequence[Finding],
    target: str,
    transport: TransportName,
    options: tuple[str, ...],
    *,
    only: tuple[str, ...] = (),
    narrowed: bool = False,
) -> dict[str, Failure]:
    """Return every distinct failure among the findings of a run in their order, by the name of its file.

    `only` and `narrowed`: see `Failure`.
    """
    earlier = {
        case: number
        for number, case in enumerate(dict.fromkeys(f.case for f in findings if f.case != PREFLIGHT))
        if not case.startswith(LEARNED)  # a sequence begins on a new connection
    }
    distinct: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        if finding.outcome in BROKEN:
            way = (finding.requirement, without_values(finding.expected), without_values(finding.seen))
            first = distinct.setdefault(way, finding)
            if finding.steps and not first.steps:  # steps can be replayed without their case
                distinct[way] = finding
    numbers = Counter[str]()
    by_name: dict[str, Failure] = {}
    for finding in distinct.values():
        numbers[finding.requirement] += 1
        by_name[f"{finding.requirement}-{numbers[finding.requirement]}.json"] = failure_from_json(
            {
                "requirement": finding.requirement,
                "case": finding.case,
                "options": options,
                "target": target,
                "transport": transport,
                "expected": finding.expected,
                "seen": finding.seen,
                "exchange": finding.exchange.splitlines(),
                "change": finding.change,
                "earlier": earlier.get(finding.case, 0),
                "only": only,
                "narrowed": narrowed,
                **(json.loads(finding.steps) if finding.steps else {}),
            }
        )
    return by_name


def write_all(failures: Mapping[str, Failure], folder: Path) -> None:
    """Write failure files to a folder, and delete those of an earlier run there. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("CB-*-*-*.json"):
        with contextlib.suppress(FailureFileError):
            if old.name not in failures:
                load(old)
                old.unlink()
    for name, failure in failures.items():
        text = json.dumps(failure.to_json(), indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def load(file: Path) -> Failure:
    """Read a failure file. Raises FailureFileError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FailureFileError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise FailureFileError(f"{file} is not JSON; the suite writes failure files with --failures FOLDER") from None
    written = data.get("format") if isinstance(data, dict) else None
    if written != FORMAT:
        fault = f"its format is {written!r}, and this kit reads {FORMAT!r}" if written else "it has no format"
        raise FailureFileError(
            f"{file} is not a failure file of this kit: {fault}; run the suite again with --failures"
        )
    try:
        failure = failure_from_json(data)
        find(failure.requirement)
    except (ValueError, UnknownRequirement) as error:
        raise FailureFileError(f"{file}: {str(error)[:300]}; run the suite again with --failures") from None
    return failure


def _convert(kind: type, data: object) -> FailureStep:
    try:
        return step_from_json(data)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None  # msgspec adds the place of the step to a ValueError
