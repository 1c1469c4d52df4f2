"""The JSON Schema of scenario files: what it accepts the reader accepts, and the other way round."""

from __future__ import annotations

from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator import ConfigError, load_config
from cbspec_simulator.app.scenario_schema import scenario_schema
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import CONDITIONS
from cbspec_simulator.settings.reading import TABLES, TIMELINE_ACTIONS

SCHEMA = scenario_schema()
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)  # a hundred times faster
Data = dict[str, Any]

UNHURRIED = settings(deadline=None)

# Whatever a key may hold, right or wrong. No float is whole: JSON Schema takes 3.0 for an integer, the reader doesn't.
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["", "x", "tenant-001", "hello", "tunnel_info", "error", "close", "reset", "relay", "127.0.0.1"]),
    st.integers(-2, 70_000),
    st.floats(-2, 100, allow_nan=False).filter(lambda value: not value.is_integer()),
    st.booleans(),
    st.sampled_from([[], ["x"], [1], [0], [3, 4], {}, {"x": 1}, {"type": "hello"}]),
)
# What the reader looks up outside the file has no place in a schema.
LOOKED_UP = {"key_file", "jwks_file", "signing_key_file", "secret_env", "token_env", "jwks_url"}
PLACES = [(table, key) for table, keys in TABLES.items() for key in (*keys, "kee") if key not in LOOKED_UP]


def reads(data: Data) -> bool:
    """Say whether the reader takes it."""
    try:
        load_config(data)
    except ConfigError:
        return False
    return True


def agree(data: Data) -> bool:
    """See that reader and schema say the same; return it."""
    wanted = VALIDATOR.is_valid(data)
    assert reads(data) is wanted, data
    return wanted


def test_it_is_a_schema_that_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for table, keys in TABLES.items():
        properties = SCHEMA["properties"][table]["properties"]
        assert {key: value["description"] for key, value in properties.items()} == {
            key: value.meaning for key, value in keys.items()
        }
    acts = {next(key for key in act["properties"] if key != "at") for act in _acts()}
    assert acts == set(TIMELINE_ACTIONS)
    kinds = {
        one["properties"]["kind"]["const"] for one in SCHEMA["$defs"]["fault"]["oneOf"] if "kind" in one["required"]
    }
    assert kinds == set(KINDS)


def _acts() -> list[Data]:
    acts: list[Data] = SCHEMA["properties"]["timeline"]["items"]["oneOf"]
    return acts


@given(st.sampled_from(PLACES), VALUES)
@settings(UNHURRIED, max_examples=300)
def test_a_table_s_key(place: tuple[str, str], value: object) -> None:
    table, key = place
    if (table, key) == ("tls", "chain"):
        return  # a file that isn't there is found when the relay begins
    agree({table: {key: value}})


@pytest.mark.parametrize("key", ["seed", "development", "faults", "timeline", "tenants", "listen", "sed"])
@given(value=VALUES)
@UNHURRIED
def test_a_key_above_all_tables(key: str, value: object) -> None:
    agree({key: value})


PARAMS = sorted({param for kind in KINDS.values() for param in kind.params})
BASES: dict[str, Data] = {
    "error": {"code": "x"}, "delay": {"seconds": 1}, "latency": {"seconds": 1}, "bandwidth": {"bytes_per_second": 9},
    "split": {"at": [3]}, "member": {"member": "x"}, "missing-member": {"member": "x"},
    "limits": {"tunnels": 1},
}  # fmt: skip


@given(st.sampled_from(list(KINDS)), st.sampled_from([*PARAMS, "name", "kind", "repeat", "sequence"]), VALUES)
@settings(UNHURRIED, max_examples=400)
def test_a_fault_s_key(kind: str, key: str, value: object) -> None:
    fault = {"kind": kind, **BASES.get(kind, {})}
    assert agree({"faults": [fault]})
    agree({"faults": [{**fault, key: value}]})
    agree({"faults": [{"sequence": [fault, {"kind": "pass"}], "repeat": True}]})
    if key != "name":
        agree({"faults": [{"sequence": [{**fault, key: value}]}]})


@given(st.sampled_from([*CONDITIONS, "nht"]), VALUES)
@settings(UNHURRIED, max_examples=200)
def test_a_condition_s_key(key: str, value: object) -> None:
    if key == "end" and value == 0:
        return  # before it has begun: contradictions are the reader's business
    agree({"faults": [{"kind": "reset", "when": {key: value}}]})  # which strikes wherever a condition points to


@given(st.sampled_from([*TIMELINE_ACTIONS, "dop"]), VALUES, st.sampled_from([0, 1.5, -1, "x", True]))
@settings(UNHURRIED, max_examples=300)
def test_an_act(act: str, value: object, at: object) -> None:
    agree({"timeline": [{"at": at, act: value}]})


@given(st.sampled_from(["id", "active", "tunnel_limit", "connection_limit", "rate", "idd"]), VALUES)
@UNHURRIED
def test_a_tenant_s_key(key: str, value: object) -> None:
    tenant = {"id": "x", key: value}
    agree({"tenants": [tenant]})
    agree({"timeline": [{"at": 1, "tenant": tenant}]})


@given(st.sampled_from(["connection_limit", "buffer_pool", "bufer_pool"]), VALUES)
@UNHURRIED
def test_a_limit(key: str, value: object) -> None:
    agree({"timeline": [{"at": 1, "limits": {key: value}}]})


@pytest.mark.parametrize(
    "data",
    [
        {"timeline": [{"at": 1}]},
        {"timeline": [{"at": 1, "drain": True, "reset": True}]},
        {"timeline": [{"drain": True}]},
        {"timeline": [{"at": 1, "tenant": {"active": False}}]},
        {"timeline": [{"at": 1, "add": {"kind": "dorp"}}]},
        {"tokens": {"secret": "x", "key_file": "y"}},
        {"tls": {"key": "x"}},
        {"faults": [{"kind": "drop", "sequence": [{"kind": "drop"}]}]},
        {"faults": [{}]},
        {"faults": [{"kind": "latency"}]},
    ],
)
def test_both_refuse(data: Data) -> None:
    assert not agree(data)
