"""Configurations and scenarios: any TOML is one or draws a ConfigError; what is read agrees with the schema."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from cbspec_simulator.app.scenario_schema import scenario_schema
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.when import CONDITIONS
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.settings.reading import TABLES, TIMELINE_ACTIONS, load_config
from tests.fuzz.target import Target, memory_folder


@cache
def _folder() -> Path:
    """Return an empty folder, in memory where that can be: files that a configuration names aren't there."""
    return memory_folder()


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema-rs chooses the class
    return jsonschema_rs.validator_for(scenario_schema())


def _check(data: bytes) -> None:
    file = _folder() / "scenario.toml"
    file.write_bytes(data)
    try:
        config = load_config(file)
    except ConfigError as error:
        assert str(error)
        assert all(line.startswith(str(file)) for line in str(error).splitlines()), str(error)
        return
    read = tomllib.loads(data.decode())
    assert _validator().is_valid(read), read
    faults = Faults(config.seed)
    try:
        faults.add_all(config.faults, 0.0)
    except FaultError as error:
        raise AssertionError(f"the reader let it through: {error}") from error
    for fault in config.faults:
        assert Fault.read(fault.to_json()) == fault
    assert repr(config)
    for name in ("secret", "token"):
        secret = str(read.get("tokens", {}).get(name, ""))
        assert len(secret) < 8 or secret not in repr(config)


def _words() -> tuple[bytes, ...]:
    keys = dict.fromkeys(
        [key for table in TABLES.values() for key in table] + [*CONDITIONS, *TIMELINE_ACTIONS, "kind", "sequence"]
    )
    params = dict.fromkeys(param for kind in KINDS.values() for param in kind.params)
    words = [f"[{table}]\n" for table in TABLES] + [
        "[[faults]]\n",
        "[[timeline]]\n",
        "[[tenants]]\n",
        "[faults.when]\n",
    ]
    words += [f"{key} = " for key in (*keys, *params)] + [f'kind = "{kind}"\n' for kind in KINDS]
    return tuple(word.encode() for word in [*words, '"', "true", "1", "[", "{", "\n", "1e400", "nan", "-1"])


TARGET: Final = Target(_check, share=4, longest=1500, words=_words())
