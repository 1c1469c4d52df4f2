"""A profile is loaded and completed; the development identity is a default on loopback only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import (
    Endpoint,
    IssuerSettings,
    Profile,
    ProfileError,
    ReadyTokens,
    TargetSettings,
    Tenant,
    TlsSettings,
    development,
    load,
    resolve,
)
from cbspec.tokens.jwt import SigningKey, mint

HERE = Endpoint("127.0.0.1", 8080)
THERE = Endpoint("relay.example", 8080)
DEVELOPMENT_CA, SYSTEM_CAS = TlsSettings("development"), TlsSettings("system")
DEVELOPMENT_TOKENS = IssuerSettings(development=True)
SECRET = IssuerSettings(secret="hush")


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
def test_an_unusable_file_is_named(data: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ProfileError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {complaint}"


ME, EXPIRED = IssuerSettings(subject="me"), IssuerSettings(ready=ReadyTokens(expired="x"))


@pytest.mark.parametrize(
    ("profile", "address", "tls", "tokens", "tenants"),
    [
        (None, HERE, DEVELOPMENT_CA, DEVELOPMENT_TOKENS, DEVELOPMENT_TENANTS),
        (None, THERE, SYSTEM_CAS, IssuerSettings(), ()),
        (development(), THERE, DEVELOPMENT_CA, DEVELOPMENT_TOKENS, DEVELOPMENT_TENANTS),
        (Profile(tokens=ME), HERE, DEVELOPMENT_CA, replace(ME, development=True), DEVELOPMENT_TENANTS),
        (Profile(tokens=SECRET), HERE, DEVELOPMENT_CA, SECRET, (Tenant("tenant-001"),)),
        (Profile(tokens=EXPIRED), HERE, DEVELOPMENT_CA, EXPIRED, ()),
    ],
)
def test_defaults_depend_on_the_address(
    profile: Profile | None, address: Endpoint, tls: TlsSettings, tokens: IssuerSettings, tenants: tuple[Tenant, ...]
) -> None:
    found = resolve(profile, address)
    assert (found.tls, found.tokens, found.tenants) == (tls, tokens, tenants)
    assert found.target == TargetSettings(address=address, server_name=address.host)
    assert resolve(found, None) == found


def test_the_address_of_the_command_line_takes_precedence() -> None:
    profile = Profile(target=TargetSettings(address=THERE, server_name="name", transport="websocket"))
    assert resolve(profile, None).target.address == THERE
    assert resolve(profile, HERE).target == TargetSettings(address=HERE, server_name="name", transport="websocket")


def test_unlisted_tenants_are_those_of_the_tokens() -> None:
    key = SigningKey.hmac("hush")
    one, two, three = (mint(key, {"tenant_id": id_}) for id_ in ("one", "two", "three"))
    ready = ReadyTokens(valid=one, second_tenant=two, inactive_tenant=three, tenants={"four": "x", "one": one})

    def tenants(ready: ReadyTokens, *listed: Tenant) -> tuple[Tenant, ...]:
        return resolve(Profile(tokens=IssuerSettings(ready=ready), tenants=listed), THERE).tenants

    assert tenants(ready) == (Tenant("one"), Tenant("two"), Tenant("four"), Tenant("three", active=False))
    assert tenants(ready, Tenant("a")) == (Tenant("a"),)
    assert tenants(ReadyTokens(valid="opaque", tenants={"one": "opaque"})) == (Tenant("one"),)
    with pytest.raises(ProfileError, match=r"tokens\.ready\.valid: it names no tenant"):
        tenants(ReadyTokens(valid="opaque"))
