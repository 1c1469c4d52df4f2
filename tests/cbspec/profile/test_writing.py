"""Writing a profile and reading it back, and the template."""

from __future__ import annotations

import re
import tomllib
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.documents import keys, plain_type, write_value
from cbspec.profile.profile import (
    Action,
    Condition,
    Endpoint,
    HttpCall,
    IssuerSettings,
    MetricsEndpoint,
    Profile,
    ProfileError,
    Rate,
    ReadyTokens,
    RelayCapabilities,
    RemoteEnds,
    TargetSettings,
    Tenant,
    TlsSettings,
    dump,
    from_mapping,
    load,
    template,
)
from cbspec.profile.reading import ProfileDocument

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,15}", fullmatch=True)
ENDPOINTS = st.builds(
    Endpoint, st.one_of(NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)), st.integers(1, 65535)
)
SECONDS = st.floats(0.001, 1e9)
COUNTS = st.integers(1, 10**9)
CLAIMS = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
MAYBE_TOKEN = st.none() | TEXT
TARGETS = st.builds(
    TargetSettings,
    address=st.none() | ENDPOINTS,
    transport=st.sampled_from(["auto", "tcp", "websocket"]),
    server_name=st.none() | NAMES,
    websocket_path=st.sampled_from(["/", "/relay?x=%20"]),
    timeout=SECONDS,
    source_addresses=st.lists(st.ip_addresses().map(str), max_size=2).map(tuple),
    exclusive=st.booleans(),
    multi_tenancy=st.none() | st.booleans(),
)
READY = st.builds(
    ReadyTokens,
    valid=MAYBE_TOKEN,
    expired=MAYBE_TOKEN,
    inactive_tenant=MAYBE_TOKEN,
    tenants=st.dictionaries(TEXT, TEXT, max_size=2),
)
TOKENS = st.builds(
    IssuerSettings,
    secret=st.none() | st.sampled_from(["hush", 'quo"te\\ \x00\x7f\n']),
    algorithm=st.sampled_from([None, "HS256", "HS512"]),
    subject=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    claims=st.dictionaries(TEXT.map(lambda key: f"x{key}"), CLAIMS, max_size=3),
    lifetime=SECONDS,
    ready=READY,
)
RATES = st.builds(Rate, SECONDS, COUNTS, st.sampled_from([None, "tenant", "subject", "connection", "address"]))
TENANTS = st.builds(
    Tenant,
    id=TEXT,
    active=st.booleans(),
    tunnel_limit=st.none() | COUNTS,
    connection_limit=st.none() | COUNTS,
    rate=st.none() | RATES,
    allowed_addresses=st.lists(st.ip_addresses().map(str), max_size=2).map(tuple),
)
ACTIONS = st.one_of(
    st.builds(Action, command=st.lists(TEXT, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Action,
        http=st.builds(
            HttpCall,
            url=st.just("http://127.0.0.1:1/x"),
            body=st.sampled_from(["", "{}"]),
            headers=st.dictionaries(TEXT, TEXT, max_size=2),
        ),
    ),
)
PROFILES = st.builds(
    Profile,
    target=TARGETS,
    tls=st.builds(TlsSettings, ca=st.sampled_from([None, "development", "system"]), verify=st.booleans()),
    tokens=TOKENS,
    tenants=st.lists(TENANTS, max_size=3, unique_by=lambda tenant: tenant.id).map(tuple),
    relay=st.builds(RelayCapabilities, st.none() | COUNTS, st.none() | COUNTS),
    remote=st.builds(RemoteEnds, ENDPOINTS, st.none() | ENDPOINTS, st.booleans()),
    metrics=st.builds(MetricsEndpoint, st.sampled_from([None, "https://[::1]:9090/metrics"])),
    conditions=st.fixed_dictionaries(
        {},
        optional={
            "unavailable": st.builds(Condition, begin=ACTIONS, end=st.none() | ACTIONS, settle=SECONDS),
            "buffer_pool": st.builds(Condition, target=ENDPOINTS, limit=COUNTS),
        },
    ),
)


@given(PROFILES)
def test_a_written_profile_is_read_as_an_equal_one(profile: Profile) -> None:
    assert from_mapping(tomllib.loads(dump(profile)), Path("/")) == profile


def test_the_paths_in_a_written_profile_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").write_text("hush")
    profile = from_mapping({"tokens": {"secret_file": "s"}}, Path())
    assert from_mapping(tomllib.loads(dump(profile)), Path("/elsewhere")) == profile


@given(CLAIMS)
def test_any_value_is_written_on_one_line(value: object) -> None:
    text = write_value(value)
    assert "\n" not in text
    assert tomllib.loads(f"x = {text}") == {"x": value}


def test_the_template_is_an_empty_profile(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(template(), encoding="utf-8")
    assert load(path) == Profile()


def test_every_key_of_the_template_can_be_set() -> None:
    text = re.sub(r"^#(?=[^ ])", "", template(), flags=re.MULTILINE)
    with pytest.raises(ProfileError) as caught:
        from_mapping(tomllib.loads(text), Path("/nowhere"))
    for problem in caught.value.problems:  # files, variables and contradictions of the examples
        assert re.search("No such file|is not set|exclude", problem), problem
    assert max(map(len, text.splitlines())) <= 120


def test_the_template_shows_the_defaults() -> None:
    lines = [line[1:] for line in template().splitlines() if line.endswith("# default")]
    written = dump(Profile()).splitlines()
    for name in ("transport", "websocket_path", "timeout", "exclusive", "verify", "subject", "lifetime", "reachable"):
        (default,) = [line for line in lines if line.startswith(f"{name} = ")]
        assert default.removesuffix("  # default") in written


def test_every_need_in_the_catalogue_is_a_key_of_the_profile() -> None:
    text = template()
    for requirement in REQUIREMENTS.values():
        assert not requirement.needs or requirement.id in text
        for need in requirement.needs:
            named = re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^tenants", need)
            assert named, requirement.id
            for key in named:
                table: object = ProfileDocument
                for step in key.split("."):
                    found = {item.name: hint for item, hint in keys(table)}
                    assert step in found, key
                    table = plain_type(found[step])
                    table = typing.get_args(table)[0] if typing.get_origin(table) is tuple else table
