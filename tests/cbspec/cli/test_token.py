"""`cbspec token`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.forgery import FORGERIES
from cbspec.tokens.jwks import KeySet, key_id
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import Claims, SigningKey, Verifier, new_pair

DEVELOPMENT = SigningKey.hmac(DEVELOPMENT_SECRET)
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def token(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command and returns standard output and standard error."""

    def run(*options: str) -> tuple[str, str]:
        assert main(["token", *options]) == 0
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


@pytest.fixture
def wrong(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs the command with wrong options and returns the last line of its message."""

    def run(*options: str) -> str:
        assert main(["token", *options]) == 4
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err.splitlines()[-1]

    return run


def judged(text: str, key: SigningKey = DEVELOPMENT) -> Claims:
    assert text.endswith("\n")
    return Verifier(key).verify(text.removesuffix("\n"), time.time())


def test_a_development_token(token: Run) -> None:
    out, err = token()
    claims = judged(out)
    assert (claims.subject, claims.tenant_id) == ("user123", "tenant-001")
    assert claims.all["exp"] == int(str(claims.all["iat"])) + 3630
    assert err.startswith('cbspec token: for "user123" of "tenant-001", until 20')
    assert out.strip() not in err
    assert len(err.splitlines()) == 1


def test_options_set_the_claims(token: Run) -> None:
    out, err = token(
        *("--tenant", "one", "--subject", "me", "--lifetime", "60", "--issuer", "us", "--audience", "you"),
        *("--claim", 'role="admin"', "--claim", "n=[1, null]", "--claim", "jti=7", "--algorithm", "HS512"),
    )
    claims = dict(judged(out, SigningKey.hmac(DEVELOPMENT_SECRET, "HS512")).all)
    assert claims.pop("exp") == int(str(claims.pop("iat"))) + 90
    expected = {"sub": "me", "tenant_id": "one", "iss": "us", "aud": "you", "role": "admin", "n": [1, None], "jti": 7}
    assert claims == expected
    assert "(HS512)" in err


def test_a_secret_from_file_or_environment(token: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = SigningKey.hmac("a secret of the tests")
    file = tmp_path / "secret.txt"
    file.write_text("a secret of the tests\n")
    monkeypatch.setenv("CBSPEC_TEST_SECRET", "a secret of the tests")
    for options in (["--secret-file", str(file)], ["--secret-env", "CBSPEC_TEST_SECRET"]):
        out, err = token(*options)
        assert judged(out, key).tenant_id == "tenant-001"
        assert "kid" not in CompactJws.split(out.strip()).headers
        assert "a secret" not in err


def test_a_private_key_sets_the_key_id(token: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(new_pair("ES256"))
    key = SigningKey.from_pem(file)
    for options, named in (([], key_id(key)), (["--kid", "mine"], "mine"), (["--no-kid"], None)):
        out, err = token("--key-file", str(file), *options)
        assert judged(out, key).subject == "user123"
        assert CompactJws.split(out.strip()).headers.get("kid") == named
        assert err.endswith(f"(ES256, key {named})\n" if named else "(ES256)\n")


def test_a_bad_token(token: Run) -> None:
    listed = [line.split(maxsplit=2) for line in token("--list-bad")[0].splitlines()]
    assert listed == [[forgery.name, forgery.requirement, forgery.sentence] for forgery in FORGERIES]
    out, err = token("--bad", "payload-other-tenant", "--tenant", "one")
    assert CompactJws.split(out.strip()).claims["tenant_id"] == "tenant-001"
    assert err == "cbspec token: CB-AUT-007: The tenant was changed to another after signing.\n"
    out, err = token("--bad", "type-object")
    assert (json.loads(out), "Send this JSON value" in err) == ({}, True)
    out, err = token("--bad", "missing")
    assert (out, "without the member token" in err) == ("", True)


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_a_new_key_is_published_and_mints(algorithm: str, token: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    out, err = token("--new-key", algorithm, str(file))
    assert (out, len(err.splitlines())) == ("", 1)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in err
    published, err = token("--jwks", str(file), "--algorithm", algorithm)
    assert err == ""
    keys = KeySet.read(published.encode())
    assert [key.algorithm for key in keys.keys] == [algorithm]
    named = KeySet.read(token("--jwks", str(file), "--kid", "mine", "--algorithm", algorithm)[0].encode())
    assert [key.key_id for key in named.keys] == ["mine"]
    out, _ = token("--key-file", str(file), "--algorithm", algorithm)
    assert Verifier(keys.choose).verify(out.strip(), time.time()).tenant_id == "tenant-001"


def test_wrong_options_are_named(wrong: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CBSPEC_TEST_NOT_SET", raising=False)
    pem, junk = str(tmp_path / "key.pem"), str(tmp_path / "junk")
    Path(pem).write_bytes(new_pair("ES256"))
    Path(junk).write_bytes(b"-----BEGIN PUBLIC KEY-----\xff")
    none = str(tmp_path / "none")
    rows: dict[tuple[str, ...], str] = {
        ("--secret-env", "CBSPEC_TEST_NOT_SET"): "cbspec: --secret-env: the environment variable",
        ("--secret-file", none): f"cbspec: --secret-file: {none}: can't be read: No such file",
        ("--algorithm", "RS256"): "cbspec: --algorithm: a secret signs with",
        ("--lifetime", "0"): "cbspec: --lifetime: must be a number, more than 0",
        ("--claim", "x"): "argument --claim: must be NAME=JSON",
        ("--claim", "x=hush"): "argument --claim: x: the value is not JSON; quote text",
        ("--claim", "x=1e999"): "cbspec: this token can't be minted: ",
        ("--tenant", ""): "argument --tenant: must not be empty",
        ("--bad", "expird-a-day"): "cbspec: --bad expird-a-day: no such kind; did you mean expired-a-day",
        ("--bad", "?"): "cbspec: --bad ?: no such kind; cbspec token --list-bad lists them",
        ("--jwks", none): f"cbspec: {none}: No such file or directory",
        ("--jwks", junk): f"cbspec: {junk}: not a public key in PEM form",
        ("--jwks", pem, "--tenant", "a"): "cbspec: --tenant applies to tokens, and --jwks mints none",
        ("--jwks", pem, pem, "--kid", "a"): "cbspec: --kid names one key",
        ("--jwks", pem, "--algorithm", "EdDSA"): f"cbspec: {pem}: this key signs with ES256, not with EdDSA",
        ("--list-bad", "--no-kid"): "cbspec: --no-kid applies to tokens, and --list-bad mints none",
        ("--new-key", "HS256", none): "cbspec: --new-key HS256: no key can be made for this algorithm",
        ("--new-key", "ES256", pem): f"cbspec: {pem} exists; name a new file",
        ("--new-key", "ES256", f"{none}/key"): f"cbspec: {none}/key: No such file or directory",
        ("--bad", "empty", "--list-bad"): "not allowed with argument",
    }
    for options, text in rows.items():
        line = wrong(*options)
        assert text in line, options
        assert "hush" not in line
