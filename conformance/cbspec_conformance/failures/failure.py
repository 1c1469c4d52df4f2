"""A failure as a file: what was asked, what was seen, and the steps by which it can be seen again.

The format is `failure.schema.json`. A file holds no token and no secret: tokens are recipes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jsonschema

from cbspec.catalogue.requirements import find
from cbspec_conformance.failures.recipes import PLACEHOLDER, Recipe
from cbspec_conformance.failures.steps import Step, step_from_json, step_to_json
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.record.expectation import Expectation, ExpectationKind

FORMAT: Final = "cbspec-failure-1"


class FailureFileError(Exception):
    """A failure file can't be used; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed or warned finding.

    `case` is the case's node id, `options` those of the suite that it ran with; `target` and `transport` are the
    relay's; `exchange` is what happened, for people. `steps`, the tokens' recipes and the `expectation` are there where
    the exchange can be played again without its case.
    """

    requirement: str
    case: str
    target: str
    transport: str
    expected: str
    seen: str
    exchange: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    expectation: Expectation | None = None
    tokens: Mapping[str, Recipe] | None = None
    steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the failure as a JSON object, as the schema has it."""
        row = find(self.requirement)
        played: dict[str, Any] = {}
        if self.expectation is not None:
            played = {
                "expectation": {"kind": self.expectation.kind.value, "values": list(self.expectation.values)},
                "tokens": {name: recipe.to_dict() for name, recipe in (self.tokens or {}).items()},
                "steps": [step_to_json(step) for step in self.steps],
            }
        return {
            "format": FORMAT,
            "requirement": self.requirement,
            "level": row.level.value,
            "demand": row.demand,
            "case": self.case,
            "options": list(self.options),
            "target": self.target,
            "transport": self.transport,
            "expected": self.expected,
            "seen": self.seen,
            "exchange": list(self.exchange),
            **played,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Failure:
        """Return the failure that `to_json` made of one; `data` keeps the schema."""
        expectation = data.get("expectation")
        return cls(
            data["requirement"],
            data["case"],
            data["target"],
            data["transport"],
            data["expected"],
            data["seen"],
            tuple(data["exchange"]),
            tuple(data.get("options", ())),
            Expectation(ExpectationKind(expectation["kind"]), tuple(expectation["values"])) if expectation else None,
            {name: Recipe.from_dict(recipe) for name, recipe in data.get("tokens", {}).items()},
            tuple(step_from_json(step) for step in data.get("steps", ())),
        )


def failures_of(
    findings: Iterable[Finding], target: str, transport: str, options: tuple[str, ...]
) -> dict[str, Failure]:
    """Return every distinct failure among the findings of a run, by the name of its file."""
    by_name: dict[str, Failure] = {}
    seen: dict[tuple[str, str, str], str] = {}
    numbers: dict[str, int] = {}
    for finding in findings:
        key = (finding.requirement, finding.expected, finding.seen)
        if finding.outcome not in (Outcome.FAILED, Outcome.WARNED):
            continue
        name = seen.get(key)
        if name is None:
            number = numbers[finding.requirement] = numbers.get(finding.requirement, 0) + 1
            name = seen[key] = f"{finding.requirement}-{number}.json"
        elif by_name[name].steps or not finding.steps:
            continue  # one that can be played by itself is of more use
        by_name[name] = _failure(finding, target, transport, options)
    return by_name


def _failure(finding: Finding, target: str, transport: str, options: tuple[str, ...]) -> Failure:
    return Failure.from_json(
        {
            "requirement": finding.requirement,
            "case": finding.case,
            "options": options,
            "target": target,
            "transport": transport,
            "expected": finding.expected,
            "seen": finding.seen,
            "exchange": finding.exchange.splitlines(),
            **(json.loads(finding.steps) if finding.steps else {}),
        }
    )


def write_all(failures: Mapping[str, Failure], folder: Path) -> None:
    """Write a folder of failure files in the place of those of an earlier run. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("CB-*-*-*.json"):
        if old.name not in failures and _is_ours(old):
            old.unlink()
    for name, failure in failures.items():
        text = json.dumps(failure.to_json(), indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _is_ours(file: Path) -> bool:
    try:
        load(file)
    except FailureFileError:
        return False
    return True


def load(file: Path) -> Failure:
    """Read a failure file. Raises FailureFileError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FailureFileError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise FailureFileError(f"{file} is no failure file: not JSON; pytest's --failures FOLDER writes them") from None
    told = data.get("format") if isinstance(data, dict) else None
    if told != FORMAT:
        what = f"its format is {told!r}, this kit reads {FORMAT!r}" if told else "it has no format"
        raise FailureFileError(f"{file} is no failure file of this kit: {what}; run the suite again with --failures")
    wrong = next(iter(_schema().iter_errors(data)), None)
    if wrong is not None:
        place = "/".join(map(str, wrong.absolute_path)) or "the object"
        raise FailureFileError(f"{file}: {place} is not as it should be: {wrong.message[:200]}")
    _check(file, data)
    return Failure.from_json(data)


def _check(file: Path, data: Mapping[str, Any]) -> None:
    """See that what the steps name is there. Raises FailureFileError."""
    tokens = data.get("tokens", {})
    named = {match[1] for match in PLACEHOLDER.finditer(json.dumps(data.get("steps", ())))} - {"run"}
    named |= {recipe["of"] for recipe in tokens.values() if "of" in recipe}
    if missing := sorted(named - set(tokens)):
        raise FailureFileError(f"{file}: tokens/{missing[0]} is missing, which the steps use")
    if any("of" in tokens[recipe["of"]] for recipe in tokens.values() if "of" in recipe):
        raise FailureFileError(f"{file}: tokens: a forgery is made of a forgery")


@cache
def _schema() -> jsonschema.Draft202012Validator:
    text = resources.files("cbspec_conformance.failures").joinpath("failure.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))
