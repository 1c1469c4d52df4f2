"""The JSON Schema of configuration files, and of the faults in them, agrees with the reader."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, Final

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.documents import keys, plain_type
from cbspec_simulator import ConfigError, load_config
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import CONDITIONS
from cbspec_simulator.settings.config import timeline_actions
from cbspec_simulator.settings.reading import ConfigDocument
from cbspec_simulator.settings.schema import scenario_schema
from tests.simulator.faults.probe import NEEDED

Data = dict[str, Any]
SCENARIO: Final = jsonschema_rs.validator_for(scenario_schema())  # much faster than jsonschema

TABLES: Final = {item.name: plain_type(hint) for item, hint in keys(ConfigDocument) if is_dataclass(plain_type(hint))}
OUTSIDE: Final = ("key_file", "jwks_file", "signing_key_file", "secret_env", "token_env", "jwks_url")
"""Keys whose files and variables the reader looks up, which a schema can't."""
PLACES: Final = [
    (table, key)
    for table, type_ in TABLES.items()
    for key in (*(item.name for item, _ in keys(type_)), "kee")
    if key not in OUTSIDE
]
ACTIONS: Final = [*timeline_actions(), "after"]


def _fitting(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if key == "tenant" and isinstance(value, str) and value:
        return "tenant-001"
    return value or 1 if key == "end" else value


PARAMS: Final = sorted({name for kind in KINDS.values() for name in kind.params})
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from(["", "x", "tenant-001", "hello", "tunnel_info", "error", "close", "reset", "relay", "127.0.0.1"]),
    st.integers(-2, 70_000),
    st.floats(-2, 100, allow_nan=False),
    st.booleans(),
    st.sampled_from([[], ["x"], [1], [0], [3, 4], {}, {"x": 1}, {"type": "hello"}]),
)


def agree(data: Data) -> bool:
    """Check that reader and schema agree on a configuration, and return whether it is valid."""
    try:
        load_config(data)
        read = True
    except ConfigError:
        read = False
    assert SCENARIO.is_valid(data) is read, data
    return read


TENANTS: Final = st.sampled_from(["id", "active", "tunnel_limit", "connection_limit", "rate", "idd"])
DOCUMENTS: Final[st.SearchStrategy[Data]] = st.one_of(
    st.builds(lambda place, value: {place[0]: {place[1]: value}}, st.sampled_from(PLACES), VALUES),
    st.dictionaries(
        st.sampled_from(["seed", "development", "faults", "timeline", "tenants", "listen", "sed"]), VALUES, max_size=1
    ),
    # `end` must be more than `begin`, and a tenant must exist; reset strikes at every point.
    st.builds(
        lambda key, value: {"faults": [{"kind": "reset", "when": {key: _fitting(key, value)}}]},
        st.sampled_from([*CONDITIONS, "nht"]),
        VALUES,
    ),
    st.builds(
        lambda action, value, at: {"timeline": [{"at": at, action: value}]},
        st.sampled_from([*ACTIONS, "dop"]),
        VALUES,
        st.sampled_from([0, 1.5, -1, "x", True]),
    ),
    st.builds(lambda value: {"timeline": [{"at": 1, "limits": {"connection_limit": value}}]}, VALUES),
    st.builds(lambda key, value: {"tenants": [{"id": "x", key: value}]}, TENANTS, VALUES),
    st.builds(lambda key, value: {"timeline": [{"at": 1, "tenant": {"id": "x", key: value}}]}, TENANTS, VALUES),
)


@settings(deadline=None, max_examples=600)
@given(DOCUMENTS)
def test_reader_and_schema_agree_on_each_key(document: Data) -> None:
    agree(document)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(KINDS)), st.sampled_from([*PARAMS, "name", "kind", "repeat", "sequence"]), VALUES)
def test_keys_of_faults(kind: str, key: str, value: object) -> None:
    fault = {"kind": kind, **NEEDED.get(kind, {})}
    assert agree({"faults": [fault]})
    assert agree({"faults": [{"sequence": [fault, {"kind": "pass"}], "repeat": True}]}) or kind == "refuse"
    agree({"faults": [{**fault, key: value}]})
    agree({"faults": [{"sequence": [{**fault, key: value}]}]})


@pytest.mark.parametrize(
    "data",
    [
        {"timeline": [{"at": 1}]},
        {"timeline": [{"at": 1, "drain": True, "after": "first"}]},
        {"timeline": [{"at": 1, "drain": True, "reset": True}]},
        {"tokens": {"secret": "x", "key_file": "y"}},
        {"tls": {"key": "x"}},
        {"faults": [{"kind": "drop", "sequence": [{"kind": "drop"}]}]},
        {"faults": [{"sequence": []}]},
    ],
)
def test_both_refuse(data: Data) -> None:
    assert not agree(data)
