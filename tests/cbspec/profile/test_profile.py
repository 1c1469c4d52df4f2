"""A profile is found and completed, and the development identity stays on loopback unless it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import (
    Endpoint,
    IssuerSettings,
    Profile,
    ProfileError,
    Ready,
    TargetSettings,
    Tenant,
    Tls,
    development,
    load,
    resolve,
)
from cbspec.tokens.jwt import SigningKey, mint

HERE = Endpoint("127.0.0.1", 8080)
THERE = Endpoint("relay.example", 8080)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "can't be read: No such file or directory"),
        (b"x = " + b"9" * 5000, "has a number with too many digits"),
        (b"[target\n", "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        (b"a = '\xff'", "is not UTF-8, at byte 5"),
        (b"a = " + b"[" * 100_000, "is nested too deep"),
    ],
)
def test_a_file_that_is_no_profile(data: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ProfileError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {complaint}"


def test_a_directory_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="can't be read: Is a directory"):
        load(tmp_path)


def test_no_address_at_all() -> None:
    for profile in (None, Profile()):
        with pytest.raises(ProfileError, match=r"no relay is named: give its address, host:port, .* target\.address"):
            resolve(profile, None)


def test_without_a_profile_loopback_gets_the_development_identity() -> None:
    profile = resolve(None, HERE)
    assert profile.target == TargetSettings(address=HERE, server_name="127.0.0.1")
    assert profile.tls == Tls(ca="development")
    assert profile.tokens == IssuerSettings(development=True)
    assert profile.tenants == DEVELOPMENT_TENANTS
    assert profile == resolve(development(), HERE)


def test_without_a_profile_no_other_address_gets_it() -> None:
    profile = resolve(None, THERE)
    assert profile.target == TargetSettings(address=THERE, server_name="relay.example")
    assert profile.tls == Tls(ca="system")
    assert profile.tokens == IssuerSettings()
    assert profile.tenants == ()


def test_asked_for_by_name_it_works_anywhere() -> None:
    asked = Profile(tls=Tls(ca="development"), tokens=IssuerSettings(development=True))
    profile = resolve(asked, THERE)
    assert (profile.tls, profile.tokens) == (asked.tls, asked.tokens)
    assert profile.tenants == DEVELOPMENT_TENANTS


def test_a_profile_that_says_little_is_completed_on_loopback_only() -> None:
    little = Profile(target=TargetSettings(transport="websocket"), tokens=IssuerSettings(subject="me"))
    here = resolve(little, HERE)
    assert here.target.transport == "websocket"
    assert here.tokens == IssuerSettings(subject="me", development=True)
    assert (here.tls.ca, here.tenants) == ("development", DEVELOPMENT_TENANTS)
    there = resolve(little, THERE)
    assert there.tokens == little.tokens
    assert (there.tls.ca, there.tenants) == ("system", ())


@pytest.mark.parametrize("tokens", [IssuerSettings(secret="hush"), IssuerSettings(ready=Ready(expired="x"))])
def test_a_profile_that_names_tokens_keeps_its_own(tokens: IssuerSettings) -> None:
    assert resolve(Profile(tokens=tokens), HERE).tokens == tokens


def test_the_command_lines_address_goes_first() -> None:
    profile = Profile(target=TargetSettings(address=THERE, server_name="name"))
    assert resolve(profile, None).target.address == THERE
    assert resolve(profile, HERE).target == TargetSettings(address=HERE, server_name="name")


def test_tenants_follow_from_the_tokens_where_none_are_listed() -> None:
    key = SigningKey.hmac("hush")
    one, two, three = (mint(key, {"tenant_id": id_}) for id_ in ("one", "two", "three"))
    ready = Ready(valid=one, second_tenant=two, inactive_tenant=three, tenants={"four": "x", "one": one})
    assert resolve(Profile(tokens=IssuerSettings(ready=ready)), THERE).tenants == (
        Tenant("one"),
        Tenant("two"),
        Tenant("four"),
        Tenant("three", active=False),
    )
    assert resolve(Profile(tokens=IssuerSettings(secret="hush")), THERE).tenants == (Tenant("tenant-001"),)
    by_name = Ready(valid="opaque", tenants={"one": "opaque"})
    assert resolve(Profile(tokens=IssuerSettings(ready=by_name)), THERE).tenants == (Tenant("one"),)
    with pytest.raises(ProfileError, match=r"tokens\.ready\.valid: no tenant can be told"):
        resolve(Profile(tokens=IssuerSettings(ready=Ready(valid="opaque"))), THERE)
    assert resolve(Profile(tokens=IssuerSettings(ready=ready), tenants=(Tenant("a"),)), THERE).tenants == (Tenant("a"),)


def test_completing_twice_changes_nothing() -> None:
    for profile in (None, development(), Profile(tokens=IssuerSettings(secret="hush"))):
        for address in (HERE, THERE):
            once = resolve(profile, address)
            assert resolve(once, None) == once
