"""The results of a run as a stream of events, one line of JSON each: every report is made from it.

A stream has, in this order: `run`, a `requirement` for each row of the catalogue, then for each case as it ends
`case`, its `exchange`s and its `finding`s, for a learned relay its `machine`, and at last `end`, with the verdicts.
Each case is written at once and flushed, so a run that is killed loses only the cases that have no result yet. A
stream without `end` is valid: readers compute the verdicts from the findings.

Tokens are redacted. Times are in seconds since the run began, unless a member says otherwise. The structures below are
the format: `schemas/cbspec_schemas/results.schema.json` is generated from them. A new member with a default keeps
`FORMAT`; every other change increases it.
"""

from __future__ import annotations

import datetime
import inspect
from typing import Any, Final

import msgspec

from cbspec.catalogue.requirements import Level
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.machines.machine import Difference, MachineData
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.record.saved import RECORDS
from cbspec_conformance.record.transcript import Bytes, Message
from cbspec_conformance.reporting.baseline import BaselineEntry
from cbspec_conformance.reporting.subject import JudgedSubject
from cbspec_conformance.target.facts import Facts

FORMAT: Final = 1
"""The version of the format, in the first line of each stream."""


CLIENT_RECORDS: Final = ("Struck", "Output", "Exited")
"""The kinds of records that only situations of clients have."""


class _Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event"):
    """One line of a stream."""


class RunStarted(_Event, frozen=True, tag="run"):
    """The first line: what runs against what, and how.

    `kit` is the version of cbspec, `specification` that of the protocol, `catalogue` the revision of the catalogue by
    which the run judges, `requirement_set` the digest of its requirements. `began` is the time in UTC.
    `command` repeats the run; `options` are those that differ from their defaults, by name. `profile` is that in TOML
    without secrets. `facts` are those of the preflight (relays only). `plan` describes the effort of the properties.
    `narrowed`: a selector may have dropped cases. `only` holds the requirements that the run judges (none: all),
    `own_cases` says that only their own cases were selected. `today` decides which entries of the `baseline` still
    apply. `selected` has an id for each selected case. `learning`: the relay's state machine was learned, and a case is
    a sequence of its inputs; a requirement of which that tries only a part is not exercised, which spoils nothing.
    """

    format: int
    kit: str
    specification: str
    catalogue: str
    began: datetime.datetime
    subject: JudgedSubject
    today: datetime.date
    requirement_set: str = ""
    command: str = ""
    options: dict[str, str] = {}
    profile: str = ""
    facts: Facts | None = None
    plan: str = ""
    fail_on_should: bool = False
    require_all: bool = False
    narrowed: bool = False
    only: tuple[str, ...] = ()
    own_cases: bool = False
    baseline_file: str = ""
    baseline: tuple[BaselineEntry, ...] = ()
    selected: tuple[str, ...] = ()
    learning: bool = False


class RequirementListed(_Event, frozen=True, tag="requirement"):
    """A row of the catalogue; see `cbspec.catalogue.requirements.Requirement`."""

    id: str
    level: Level
    chapter: str
    section: str
    demand: str
    why: str
    when: str = ""
    needs: tuple[str, ...] = ()
    untestable: str = ""
    deployed: str = ""


class CaseReported(_Event, frozen=True, tag="case"):
    """A case, or a situation of a client, has ended.

    `name` is its node id, `requirement` its own one ("": the preflight). `about` tells how it tries the requirement.
    `outcome` is that of its own requirement (None: an error of the kit), `at` the time of its begin, `seconds` how long
    it took. `place` is its place in the order of the cases, which are written as they end. `sources` are the suite's
    addresses, `identifiers` its tunnel ids and subjects: they find the case in the logs of the relay.
    """

    name: str
    requirement: str
    about: str = ""
    outcome: Outcome | None = None
    at: float = 0.0
    seconds: float = 0.0
    place: int = 0
    cost: Cost | None = None
    sources: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()


class ExchangeSeen(_Event, frozen=True, tag="exchange"):
    """One exchange of a case: a request with everything that followed.

    The records of all exchanges of a case, in order, are its transcript (`cbspec_conformance.record.saved`; for
    clients, the same kinds of records, seen from the relay, and `CLIENT_RECORDS`). `first` is the place of the
    first of them in it, and record times count from the case's begin.
    """

    case: str
    first: int
    records: tuple[dict[str, Any], ...]


class FindingMade(_Event, frozen=True, tag="finding"):
    """What a case says about a requirement; see `cbspec_conformance.judging.verdicts.Finding`.

    `decisive` are the places of the decisive records in the case's transcript. `exchange` is the text of the exchange,
    its decisive lines marked ">".
    """

    requirement: str
    outcome: Outcome
    case: str = ""
    reason: str = ""
    expected: str = ""
    seen: str = ""
    exchange: str = ""
    aspect: str = ""
    change: str = ""
    number: int = -1
    kinds: tuple[str, ...] = ()
    decisive: tuple[int, ...] = ()


class MachineLearned(_Event, frozen=True, tag="machine"):
    """The state machine of a relay, as `cbspec learn` found it with `queries` sequences of altogether `inputs` inputs.

    `machine` is None if learning stopped, for the reason `stopped`. `differences` are those from the table of the
    specification, which has `table_states` states; a case is named after the sequence of each that has a requirement.
    `left_out` has the reason for each input that the profile can't make. `earlier` is the machine of --against.
    """

    queries: int
    inputs: int
    table_states: int
    machine: MachineData | None = None
    stopped: str = ""
    differences: tuple[Difference, ...] = ()
    left_out: dict[str, str] = {}
    earlier: MachineData | None = None

    def __post_init__(self) -> None:
        for each in self.differences:
            if not 0 < len(each.word) == len(each.outputs):
                raise ValueError("a difference needs an output for each input")
            if self.machine is not None and not {*each.word, *each.also} <= {*self.machine.inputs}:
                raise ValueError("a difference has an input that the machine doesn't have")


class RunEnded(_Event, frozen=True, tag="end"):
    """The last line. `verdicts` has the outcome of each requirement (None: not selected); `seconds` is the run's time.

    `stale` are the entries of the baseline that pass now, `kit_errors` the kit's own errors. `reason` says why there
    was nothing to judge ("": there was something).
    """

    green: bool
    exit_code: int
    seconds: float
    verdicts: dict[str, Outcome | None]
    interrupted: bool = False
    stale: tuple[str, ...] = ()
    kit_errors: tuple[str, ...] = ()
    reason: str = ""


Event = RunStarted | RequirementListed | CaseReported | ExchangeSeen | FindingMade | MachineLearned | RunEnded
"""A line of a stream, told apart by its member `event`."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    made = msgspec.json.schema(Event)
    kinds = [*RECORDS, Bytes.__name__, Message.__name__, *CLIENT_RECORDS]
    row = {
        "type": "object",
        "description": "A record of a transcript; `at` is in seconds. Members that are empty are left out.",
        "required": ["record", "at", "connection"],
        "properties": {"record": {"enum": kinds}, "at": {"type": "number"}, "connection": {"type": "integer"}},
    }
    made["$defs"]["ExchangeSeen"]["properties"]["records"]["items"] = row
    for each in made["$defs"].values():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cbspec:results:{FORMAT}",
        "title": "A line of the results of a run of cbspec",
        "description": inspect.cleandoc(__doc__),
        **made,
    }
