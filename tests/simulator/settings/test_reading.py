"""The configuration file: what it gives, and what is said of each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.target import Rate, Tenant
from cbspec.tokens.keypair import new_pair
from cbspec_simulator import Config, ConfigError, load_config
from cbspec_simulator.settings.config import (
    Certificate,
    LimitSettings,
    Listen,
    MetricsSettings,
    RelaySettings,
    TokenSettings,
)
from tests.support.issuer import jwks, pair

WHOLE = """
development = true

[listen]
host = "0.0.0.0"
port = 0

[tls]
chain = "chain.pem"
key = "/etc/key.pem"

[tokens]
secret_env = "RELAY_SECRET"
leeway = 5
issuer = "me"
audience = "you"

[[tenants]]
id = "one"
tunnel_limit = 2
rate = { per_second = 10, burst = 5, scope = "subject" }
allowed_addresses = ["192.0.2.0/24", "::1"]

[[tenants]]
id = "two"
active = false

[relay]
connection_limit = 7
buffer_pool = 8
features = ["tls"]
draining = true
probe = true
probe_timeout = 0.5

[limits]
max_message = 1000
max_depth = 4
handshake_timeout = 1
idle_timeout = 2.5

[metrics]
enabled = true
port = 0
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_SECRET", "a secret that is long enough")
    assert load_config(_file(tmp_path, WHOLE)) == Config(
        listen=Listen("0.0.0.0", 0),  # noqa: S104 - nobody listens
        certificate=Certificate(tmp_path / "chain.pem", Path("/etc/key.pem")),
        tokens=TokenSettings("a secret that is long enough", None, 5, "me", "you"),
        tenants=(
            Tenant("one", True, 2, None, Rate(10.0, 5, "subject"), ("192.0.2.0/24", "::1")),
            Tenant("two", active=False),
        ),
        relay=RelaySettings(7, 8, ("tls",), True, True, 0.5),
        limits=LimitSettings(1000, 4, 1, 2.5),
        metrics=MetricsSettings(True, 0),
        development=True,
    )


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_config(_file(tmp_path, "")) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listn]\nport = 1", "listn: unknown key; did you mean listen?"),
        (
            "prot = 1",
            "prot: unknown key; known are listen, tls, tokens, relay, limits, metrics, control, tenants",
        ),
        ("port = 1", "port: unknown key; did you mean [listen] port?"),
        ("[listen]\nprot = 1", "listen.prot: unknown key; did you mean port?"),
        ("[relay]\nmax_depth = 1", "relay.max_depth: unknown key; did you mean [limits] max_depth?"),
        ("[listen]\nport = 65536", "listen.port: must be a port from 0 to 65535, not 65536"),
        ("[listen]\nport = true", "listen.port: must be a port from 0 to 65535, not a boolean"),
        ('[listen]\nhost = ""', "listen.host: must be a string that is not empty, not a string"),
        ("listen = 1", "listen: must be a table, not a number"),
        ('development = "yes"', "development: must be true or false, not a string"),
        ('[tls]\nkey = "x"', "tls: lacks the key chain, the certificate's PEM file"),
        ('[tokens]\nsecret_env = "NO_SUCH"', "tokens.secret_env: the environment variable NO_SUCH is not set or empty"),
        ('[tokens]\nkey_file = "none.pem"', "tokens.key_file: {folder}/none.pem: No such file or directory"),
        ('[tokens]\nsecret = "x"\nkey_file = "y"', "tokens: secret and key_file exclude each other; keep one"),
        ('[tokens]\njwks_file = "none.json"', "tokens.jwks_file: {folder}/none.json: No such file or directory"),
        ('[tokens]\njwks_file = "relay.toml"', "tokens.jwks_file: it is no JSON text"),
        ('[tokens]\njwks_url = "http://issuer.example/"', "tokens.jwks_url: issuer.example isn't loopback"),
        ('[tokens]\njwks_url = "jwks.json"', "tokens.jwks_url: it is no address of the form https://HOST/PATH"),
        (
            '[tokens]\nsecret = "x"\njwks_url = "https://127.0.0.1/"',
            "tokens: secret and jwks_url exclude each other; keep one",
        ),
        ("[tokens]\njwks_max_age = 0", "tokens.jwks_max_age: must be a number of seconds, more than 0, not 0"),
        (
            '[tokens]\njwks_url = "https://127.0.0.1/"\nsigning_key_file = "relay.toml"',
            "tokens.signing_key_file: not an unencrypted private key in PEM form",
        ),
        (
            '[tokens]\nsigning_key_file = "none.pem"',
            "tokens.signing_key_file: goes with jwks_file or jwks_url, and neither is there",
        ),
        ("[tokens]\nleeway = -1", "tokens.leeway: must be a number of seconds, 0 or more, not -1"),
        ("[limits]\nidle_timeout = inf", "limits.idle_timeout: must be a number of seconds, more than 0, not a number"),
        ("[limits]\nmax_message = 0", "limits.max_message: must be a whole number, 1 or more, not 0"),
        ("[relay]\nfeatures = [1]", "relay.features: must be an array of strings, not an array"),
        ("[[tenants]]\nactive = true", "tenants[0]: lacks id"),
        ('[[tenants]]\nid = "x"\ntunel_limit = 1', "tenants[0].tunel_limit: unknown key; did you mean tunnel_limit?"),
        ("x = " + "9" * 5000, "holds a number of too many digits"),
        ("x = ", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"{path}: {said.replace('{folder}', str(tmp_path))}" in str(caught.value)


def test_the_issuers_keys_by_file_or_address(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(new_pair("ES256"))
    (tmp_path / "jwks.json").write_bytes(jwks(pair()))
    written = 'jwks_file = "jwks.json"\nsigning_key_file = "key.pem"'
    assert load_config(_file(tmp_path, f"[tokens]\n{written}")).tokens == TokenSettings(
        jwks_file=tmp_path / "jwks.json", signing_key_file=tmp_path / "key.pem"
    )
    rules = load_config(_file(tmp_path, '[tokens]\njwks_url = "https://127.0.0.1/x"\njwks_max_age = 5')).tokens
    assert rules == TokenSettings(jwks_url="https://127.0.0.1/x", jwks_max_age=5)
    assert not rules.development


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(_file(tmp_path, "[listen]\nport = -1\n[metrics]\nport = -1\nenabled = 1"))
    assert len(str(caught.value).splitlines()) == 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read: No such file"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8, at byte 0"):
        load_config(tmp_path / "bytes.toml")


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, '[tokens]\nsecret = "very-secret-indeed"'))
    assert "very-secret-indeed" not in repr(config)


def test_a_mapping_is_laid_over_like_a_file(tmp_path: Path) -> None:
    below = _file(tmp_path, 'seed = 1\n[relay]\nbuffer_pool = 1\n[[faults]]\nkind = "drop"')
    above = {"relay": {"connection_limit": 2}, "faults": [{"kind": "reset"}], "tls": {"chain": "chain.pem"}}
    config = load_config(below, above)
    assert (config.seed, config.relay.buffer_pool, config.relay.connection_limit) == (1, 1, 2)
    assert [fault.parts[0].to_json()["kind"] for fault in config.faults] == ["drop", "reset"]
    assert config.certificate == Certificate(Path("chain.pem").absolute())
    with pytest.raises(ConfigError, match=r"^config: sed: unknown key; did you mean seed"):
        load_config(below, {"sed": 1})


@pytest.mark.parametrize("text", ["faults = 1", "timeline = 1", "relay = 1"])
def test_a_mistake_in_one_file_doesn_t_stop_the_reading_of_the_next(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"relay": {"buffer_pool": 1}}, _file(tmp_path, text), {"sed": 1})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ('add = { kind = "dorp" }', "add: kind: there is no kind 'dorp'; did you mean drop?"),
        ("limits = { pool = 1 }", "limits: pool: unknown limit; known are connection_limit, buffer_pool"),
        ("limits = { buffer_pool = -1 }", "limits: buffer_pool: must be a whole number, 0 or more, not a number"),
        ("tenant = { active = true }", "tenant: lacks id"),
        ('tenant = { id = "x", tunel_limit = 1 }', "tenant: tunel_limit: unknown key; did you mean tunnel_limit?"),
        ('tenant = { id = "x", tunnel_limit = -1 }', "tenant: tunnel_limit: must be"),
        ('drop = "gently"', "drop must be one of close, reset, close-without-notify, half-close, not a string"),
    ],
)
def test_a_mistake_in_a_timeline_is_told_before_its_time(tmp_path: Path, act: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(_file(tmp_path, f"[[timeline]]\nat = 1\n{act}"))
    assert f"timeline 1: {said}" in str(caught.value)
