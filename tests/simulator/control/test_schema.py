"""The JSON Schema of faults says what the reader says."""

from __future__ import annotations

from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_simulator.control.schema import fault_schema
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import THROUGH, Fault, FaultError
from cbspec_simulator.faults.kind import FaultKind
from cbspec_simulator.faults.when import CONDITIONS

SCHEMA = fault_schema()
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)

ANY = st.sampled_from([0, 1, 3, -1, 0.5, 2.5, True, False, "", "x", "tenant-001", [], [1, 2], {}, {"a": 1}, None])
PARAMS = sorted({name for kind in KINDS.values() for name in kind.params})


@st.composite
def _faults(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what is nearly a fault: keys of this kind and of others, right values and wrong ones."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    fault: dict[str, Any] = {
        "kind": kind,
        **draw(st.dictionaries(st.sampled_from(sorted(KINDS[kind].params) or ["x"]), ANY)),
    }
    fault |= draw(st.dictionaries(st.sampled_from([*PARAMS, "name", "y"]), ANY, max_size=1))
    if draw(st.booleans()):
        fault["when"] = draw(st.dictionaries(st.sampled_from([*CONDITIONS, "z"]), ANY, max_size=3))
    return fault


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_default_is_valid(kind: FaultKind) -> None:
    for param in kind.params.values():
        if param.default is not None:
            assert param.value.good(param.default)
            jsonschema.validate(param.default, param.value.schema)


@given(_faults())
def test_what_the_reader_takes_the_schema_takes(fault: dict[str, Any]) -> None:
    problems: tuple[str, ...] = ()
    try:
        read = Fault.read(fault)
    except FaultError as error:
        problems = error.problems
    if problems:
        # A schema can't say that two keys contradict each other.
        assert not VALIDATOR.is_valid(fault) or all(problem.startswith("when") for problem in problems)
    else:
        assert VALIDATOR.is_valid(fault)
        assert VALIDATOR.is_valid(read.to_json()), read.to_json()


def test_a_sequence() -> None:
    sequence = [{"kind": "drop"}, {"kind": THROUGH}, {"kind": "delay", "seconds": 1}]
    fault = {"name": "s", "sequence": sequence, "repeat": True, "when": {"nth": 2}}
    VALIDATOR.validate(fault)
    VALIDATOR.validate(Fault.read(fault).to_json())
    assert not VALIDATOR.is_valid({**fault, "sequence": []})
    assert not VALIDATOR.is_valid({**fault, "kind": "drop"})
