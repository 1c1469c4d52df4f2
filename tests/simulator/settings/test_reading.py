"""Configuration files become a `Config`, or an error for each mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator import Config, ConfigError, load_config
from cbspec_simulator.settings.config import (
    Certificate,
    ControlSettings,
    Listen,
    RelaySettings,
    TimelineEntry,
    TokenSettings,
)

SECRET: Final = "a secret that is long enough"
TABLES: Final = """
seed = 7
tls = { chain = "chain.pem", key = "/etc/key.pem" }
tokens = { secret_env = "RELAY_SECRET", leeway = 5 }
control = { host = "::1", port = 0, token_env = "RELAY_SECRET" }
relay = { connection_limit = 7, features = ["tls"] }
tenants = [{ id = "one", rate = { per_second = 10, burst = 5, scope = "subject" } }, { id = "two", active = false }]
timeline = [{ at = 1, tenant = { id = "one", tunnel_limit = 1 } }]
"""


def load(folder: Path, text: str) -> Config:
    """Load a file with this text."""
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_SECRET", SECRET)
    config = load(tmp_path, TABLES)
    assert config == Config(
        certificate=Certificate(tmp_path / "chain.pem", Path("/etc/key.pem")),
        tokens=TokenSettings(SECRET, leeway=5, secret_env="RELAY_SECRET"),
        tenants=(Tenant("one", rate=Rate(10.0, 5, "subject")), Tenant("two", active=False)),
        relay=RelaySettings(7, features=("tls",)),
        control=ControlSettings("::1", 0, SECRET),
        timeline=(TimelineEntry(1, tenant={"id": "one", "tunnel_limit": 1}),),
        seed=7,
    )
    assert SECRET not in repr(config)
    for empty in ("", "[tls]", "[tokens]\n[control]"):
        assert load(tmp_path, empty) == load_config() == Config()


MISTAKES: Final = {
    "port = 1": "port: unknown key; it belongs in [listen]",
    "[listen]\nport = 65536": "listen.port: must be a port from 0 to 65535, not 65536",
    "faults = 1": "faults: must be an array of tables, [[faults]], not a number",
    'faults = [{ name = "x", kind = "drop" }, { name = "x", kind = "drop" }]': "faults[1].name: two faults are",
    '[tls]\nkey = "x"': "tls: lacks chain, the PEM file with the certificate",
    '[tls]\nnames = ["a", "b_c"]': "tls.names[1]: must be a DNS name of letters, digits",
    '[tokens]\nsecret_env = "NO_SUCH"': "tokens.secret_env: the environment variable NO_SUCH is not set",
    '[control]\ntoken_env = "NO_SUCH"': "control.token_env: the environment variable NO_SUCH is not set",
    '[tokens]\nkey_file = "none.pem"': "tokens.key_file: {folder}/none.pem: can't be read: No such file",
    '[tokens]\nsecret = "x"\nkey_file = "y"': "tokens: secret and key_file exclude each other; keep one",
    '[tokens]\njwks_file = "relay.toml"': "tokens.jwks_file: {folder}/relay.toml: it is not JSON",
    '[tokens]\njwks_url = "http://issuer.example/"': "tokens.jwks_url: issuer.example isn't loopback",
    '[tokens]\njwks_url = "https://127.0.0.1/"\nsigning_key_file = "relay.toml"': (
        "tokens.signing_key_file: {folder}/relay.toml: not an unencrypted private key in PEM form"
    ),
    '[tokens]\nsigning_key_file = "none.pem"': "tokens.signing_key_file: needs jwks_file or jwks_url",
    'tenants = [{ id = "x" }, { id = "x" }]': "tenants[1].id: tenants[0] has the same id",
    "[[timeline]]\nat = 1": "timeline[0]: must have at and one action, add, remove, release, reset, drain",
    '[[timeline]]\nat = 1\nadd = { kind = "dorp" }': "timeline[0].add.kind: there is no kind 'dorp'; did you mean",
    "[[timeline]]\nat = 1\ntenant = { active = true }": "timeline[0].tenant: lacks id",
    'faults = [{ kind = "drop", when = { tenant = "tenant-oo1" } }]': (
        "faults[0].when.tenant: there is no tenant tenant-oo1; did you mean tenant-001?"
    ),
    '[[timeline]]\nat = 1\nadd = { kind = "drop", when = { tenant = "x", message = "error" } }': (
        "timeline[0].add.when.tenant: there is no tenant x; there are tenant-001, "
    ),
    "x = ": "is not TOML",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named_with_a_remedy(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert f"{tmp_path}/relay.toml: {MISTAKES[text].replace('{folder}', str(tmp_path))}" in str(caught.value)


def test_all_mistakes_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("[listen]\nport = -1\n[metrics]\nport = -1")
    with pytest.raises(ConfigError) as caught:
        load_config({"faults": 1}, path)
    places = [line.split(": must")[0] for line in str(caught.value).splitlines()]
    assert places == ["config: faults", f"{path}: listen.port", f"{path}: metrics.port"]


def test_the_keys_of_an_issuer(tmp_path: Path) -> None:
    tokens = load(tmp_path, '[tokens]\njwks_url = "https://127.0.0.1/x"\njwks_max_age = 5').tokens
    assert tokens == TokenSettings(jwks_url="https://127.0.0.1/x", jwks_max_age=5)
    assert not tokens.development


def test_later_sources_override_earlier_ones(tmp_path: Path) -> None:
    below = tmp_path / "below.toml"
    below.write_text(
        'seed = 1\n[tokens]\nsecret = "x"\n[relay]\nbuffer_pool = 1\n[[faults]]\nname = "x"\nkind = "drop"'
    )
    above = {"relay": {"connection_limit": 2}, "faults": [{"kind": "reset"}], "tls": {"chain": "chain.pem"}}
    config = load_config(below, above)
    assert (config.seed, config.relay) == (1, RelaySettings(2, 1))
    assert [fault.parts[0].name for fault in config.faults] == ["drop", "reset"]
    assert config.certificate == Certificate(Path("chain.pem").absolute())
    for contradiction, problem in (
        ({"tokens": {"secret_env": "HOME"}}, "tokens: secret and secret_env exclude each other; keep one"),
        ({"faults": [{"kind": "drop", "name": "x"}]}, "faults[1].name: two faults are named x; rename one"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(below, contradiction)
        assert str(caught.value) == f"{below} and config: {problem}"


def test_the_development_identity_stays_on_loopback_by_default() -> None:
    config = Config(listen=Listen("192.0.2.1", 0))
    with pytest.raises(ConfigError, match=r"\[tls\] chain and \[tokens\]"):
        config.check()
    replace(config, development=True).check()
