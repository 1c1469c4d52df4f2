"""A profile is read, with all mistakes at once, completed, and written; tenants are chosen by their limits."""

from __future__ import annotations

import re
import tomllib
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.documents import keys, plain_type
from cbspec.profile.identity import DEVELOPMENT_TENANTS, development_ca
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
    development,
    dump,
    from_mapping,
    load,
    resolve,
    template,
)
from cbspec.profile.reading import ProfileDocument
from cbspec.tokens.jwt import SigningKey, mint


def problems(text: str, folder: Path) -> list[str]:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


SOURCES = """
tls.ca = "ca.pem"
[tokens]
secret_env = "CBSPEC_TEST_SECRET"
claims = { scope = ["a", 1, true, { b = 2.5 }] }
[tokens.ready]
valid = "v.v.v"
expired = { env = "CBSPEC_TEST_EXPIRED" }
wrong_key = { file = "wrong.txt" }
[conditions.unavailable]
begin = { command = ["drain", "--now"] }
end = { http = { url = "https://127.0.0.1/end", headers = { X-Key = "k" } } }
"""


def test_secrets_and_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CBSPEC_TEST_SECRET", "hush")
    monkeypatch.setenv("CBSPEC_TEST_EXPIRED", "e.e.e")
    development_ca()
    (tmp_path / "wrong.txt").write_text("w.w.w\r\n")
    path = tmp_path / "p.toml"
    path.write_text(SOURCES, encoding="utf-8")
    profile = load(str(path))
    assert profile.path == path
    end = Action(http=HttpCall("https://127.0.0.1/end", headers={"X-Key": "k"}))
    assert profile == Profile(
        tls=TlsSettings(ca=tmp_path / "ca.pem"),
        tokens=IssuerSettings(
            secret="hush",
            claims={"scope": ["a", 1, True, {"b": 2.5}]},
            ready=ReadyTokens(valid="v.v.v", expired="e.e.e", wrong_key="w.w.w"),
        ),
        conditions={"unavailable": Condition(begin=Action(command=("drain", "--now")), end=end)},
    )
    assert "hush" not in repr(profile)
    assert ".w" not in repr(profile)


WRONG = r"""
address = 'x:1' | address: unknown key; it belongs in [target]
target.secret = 'x' | target.secret: unknown key; it belongs in [tokens]
target.address = 8080 | target.address: must be a string, not a number
target.address = 'x' | target.address: must be host:port with a port from 1 to 65535, not 'x'
target.address = 'relay:0' | target.address: must be host:port with a port from 1 to 65535, not 'relay:0'
target.address = 'relay:٣' | target.address: must be host:port with a port from 1 to 65535, not 'relay:٣'
target.address = '::1:80' | target.address: must have an IPv6 address in brackets, [address]:port, not '::1:80'
target.address = '[relay]:80' | target.address: must have an IPv6 address in its brackets, not '[relay]:80'
target.address = 'relay/x:80' | target.address: must be host:port, not 'relay/x:80'
target.timeout = inf | target.timeout: must be a finite number, not inf
target.websocket_path = 'ws' | target.websocket_path: must be a path that begins with / and contains no space
target.source_addresses = ['x'] | target.source_addresses[0]: must be an IPv4 or IPv6 address, not 'x'
tenants = { id = 'a' } | tenants: must be an array of tables, [[tenants]], not a table
tenants = [{ id = 'a', allowed_addresses = ['10.0.0.1/8'] }] | tenants[0].allowed_addresses[0]: has bits set after
tenants = [{ id = 'a' }, { id = 'a' }] | tenants[1].id: tenants[0] has the same id
metrics.url = 'http://:x' | metrics.url: must be an http:// or https:// address with a host
tokens = { secret = 'a', secret_env = 'PATH' } | tokens: secret and secret_env exclude each other; keep one
tokens.secret_env = 'CBSPEC_TEST_NOT_SET' | tokens.secret_env: the environment variable CBSPEC_TEST_NOT_SET is not set
tokens.secret_env = 'CBSPEC_TEST_EMPTY' | tokens.secret_env: the environment variable CBSPEC_TEST_EMPTY is empty
tokens = { secret = 'a', algorithm = 'RS256' } | tokens.secret: a secret signs with HS256, HS384, HS512, not with RS256
tokens.algorithm = 'RS256' | tokens.algorithm: a secret signs with HS256, HS384, HS512, not with RS256
tokens.claims = { sub = 'a' } | tokens.claims.sub: the suite sets this claim itself
tokens.ready.valid = 3 | tokens.ready.valid: must be a token, { env = "NAME" } or { file = "PATH" }, not a number
tokens.ready.valid = {} | tokens.ready.valid: must have one key, { env = "NAME" } or { file = "PATH" }
tokens.ready.valid = { env = 'CBSPEC_TEST_NOT_SET' } | tokens.ready.valid.env: the environment variable
conditions.unavailable = {} | conditions.unavailable: needs target, if it already holds there, or begin, the action
conditions.unavailable = { limit = 1, target = 'x:1' } | conditions.unavailable.limit: unknown key;
conditions.unavailable = { target = 'x:1', end = { command = ['a'] } } | conditions.unavailable: target excludes begin
conditions.unavailable.end = { command = ['a'] } | conditions.unavailable: needs target
conditions.unavailable.begin = { command = ['a'], http.url = 'http://x' } | conditions.unavailable.begin: must be {
conditions.unavailable.begin.http = { url = 'http://x', method = 'post' } | conditions.unavailable.begin.http.method:
"""
"""Wrong profiles, each with the beginning of its error."""


def test_each_mistake_is_reported_with_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_TEST_EMPTY", "")
    for row in WRONG.strip().splitlines():
        text, complaint = row.split(" | ")
        found = problems(text, tmp_path)
        assert found[0].startswith(complaint), (text, found)
        assert len(found) == 1 or "end = " in text, found
    text = "[tokens]\nsecret = 'hush'\nsecret_file = 'none'\n[relay]\nconection_limit = 3\n[target]\ntimeout = '5'"
    keys = [problem.partition(":")[0] for problem in problems(text, tmp_path)]
    assert keys == ["tokens", "tokens.secret_file", "relay.conection_limit", "target.timeout"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("tls.ca", b"junk", "has no certificate in PEM form"),
        ("tls.ca", None, "can't be read: No such file or directory"),
        ("tokens.key_file", b"junk", "not an unencrypted private key in PEM form"),
        ("tokens.key_file", None, "can't be read: No such file or directory"),
        ("tokens.secret_file", b"\n", "is empty"),
        ("tokens.secret_file", b"\xff", "is not UTF-8"),
        ("tokens.ready.valid.file", b"", "is empty"),
    ],
)
def test_an_unusable_file_is_named(name: str, text: bytes | None, complaint: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "f").write_bytes(text)
    assert problems(f"{name} = 'f'", tmp_path) == [f"{name}: {tmp_path / 'f'}: {complaint}"]


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
def test_an_unusable_profile_is_named(data: bytes | None, complaint: str, tmp_path: Path) -> None:
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


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
CLAIMS = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
END = Action(http=HttpCall("http://127.0.0.1:1/x", body="{}", headers={"X-Key": "k"}))
FULL = Profile(
    TargetSettings(Endpoint("::1", 1), "websocket", "name", "/a?x=%20", 1e9, 0.1, source_addresses=("127.0.0.9",)),
    TlsSettings("development", verify=False),
    IssuerSettings('quo"te\\ \x00\x7f\n', algorithm="HS512", subject="", ready=ReadyTokens("v", tenants={"é": "x"})),
    (Tenant("a b", active=False, tunnel_limit=1, rate=Rate(0.5, 2, "subject"), allowed_addresses=("::1",)),),
    RelayCapabilities(1, 10**9),
    RemoteEnds(Endpoint("a", 1), Endpoint("b.c", 65535), dialled=True),
    MetricsEndpoint("https://[::1]:9090/metrics"),
    {
        "unavailable": Condition(begin=Action(command=("a", 'b "c"')), end=END, settle=0.5),
        "buffer_pool": Condition(target=Endpoint("127.0.0.1", 1), limit=3),
    },
)


@settings(deadline=None)
@given(st.dictionaries(TEXT.map(lambda key: f"x{key}"), CLAIMS, max_size=3))
def test_a_written_profile_is_read_as_an_equal_one(claims: dict[str, object]) -> None:
    for profile in (Profile(), replace(FULL, tokens=replace(FULL.tokens, claims=claims))):
        assert from_mapping(tomllib.loads(dump(profile)), Path("/")) == profile


def test_every_key_of_the_template_can_be_set() -> None:
    text = re.sub(r"^#(?=[^ ])", "", template(), flags=re.MULTILINE)
    with pytest.raises(ProfileError) as caught:
        from_mapping(tomllib.loads(text), Path("/nowhere"))
    for problem in caught.value.problems:  # files, variables and contradictions of the examples
        assert re.search("No such file|is not set|exclude", problem), problem
    assert max(map(len, text.splitlines())) <= 120


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


HOSTS = st.one_of(st.text("az09.-", min_size=1, max_size=20), st.ip_addresses().map(str))


@given(HOSTS, st.integers(1, 65535))
def test_an_endpoint_is_parsed_as_it_was_written(host: str, port: int) -> None:
    endpoint = Endpoint(host, port)
    assert Endpoint.parse(str(endpoint)) == endpoint


def test_tenants_are_chosen_by_their_limits() -> None:
    profile = Profile(tenants=DEVELOPMENT_TENANTS)
    chosen = [profile.main_tenant, profile.second_tenant, profile.inactive_tenant]
    assert [tenant and tenant.id for tenant in chosen] == ["tenant-001", "tenant-002", "tenant-inactive"]
    here, elsewhere = profile.tenants_with("allowed_addresses")
    assert [here.allows("127.0.0.1"), here.allows("::1"), elsewhere.allows("127.0.0.1")] == [True, True, False]
    assert profile.tenant("tenant-rate") == profile.tenants_with("rate")[0]
    assert profile.tenant("none") is None
    assert (Profile().main_tenant, Profile().inactive_tenant) == (None, None)


def test_without_an_unlimited_tenant_the_one_with_the_widest_limits_is_chosen() -> None:
    rate = Rate(10, 10)
    listed = Tenant("listed", allowed_addresses=("10.0.0.0/8",))
    narrow, wide = Tenant("narrow", tunnel_limit=2), Tenant("wide", connection_limit=9)
    both = Tenant("both", tunnel_limit=100, rate=rate)
    off = Tenant("off", active=False)
    profile = Profile(tenants=(off, listed, both, narrow, wide))
    assert profile.main_tenant == wide
    assert profile.second_tenant == narrow
    assert profile.tenants_with("tunnel_limit") == (narrow, both)
