"""Every key of a profile is read, and all mistakes are reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.identity import development_ca
from cbspec.profile.profile import (
    Action,
    Condition,
    HttpCall,
    IssuerSettings,
    Profile,
    ProfileError,
    ReadyTokens,
    TlsSettings,
    load,
)


def problems(text: str, folder: Path) -> list[str]:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    lines = [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]
    assert all(f"{path}: {line}" == problem for line, problem in zip(lines, caught.value.problems, strict=True))
    assert all("\n" not in line for line in lines)
    return lines


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
