"""Configurations and scenarios: any TOML is read, or raises a ConfigError; the reader agrees with the schema."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

import jsonschema_rs

from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.settings.reading import load_config
from cbspec_simulator.settings.schema import scenario_schema
from tests.fuzz.target import temporary_folder

_folder = cache(temporary_folder)  # empty, so files that a configuration names don't exist


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema-rs chooses the class
    return jsonschema_rs.validator_for(scenario_schema())


def check(data: bytes) -> None:
    """Read a configuration."""
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
        raise AssertionError(f"the reader accepted it: {error}") from error
    for fault in config.faults:
        assert Fault.read(fault.to_json()) == fault
    for name in ("secret", "token"):
        secret = str(read.get("tokens", {}).get(name, ""))
        assert len(secret) < 8 or secret not in repr(config)
