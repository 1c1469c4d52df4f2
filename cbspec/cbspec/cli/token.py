"""`cbspec token`: mint valid and bad tokens, create key pairs, publish public keys as a JWKS.

Standard output holds only the token or key set; explanations go to standard error. Secrets are read from a file or the
environment, never from the command line, which other users of the machine can read.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cbspec.errors import CommandError
from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import ProfileError, from_mapping
from cbspec.profile.target import IssuerSettings
from cbspec.protocol import strictjson
from cbspec.tokens.forgery import FORGERIES, MISSING, Forgery, by_name
from cbspec.tokens.jwks import key_id, public_jwk
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import ALGORITHMS, OF_KEY_PAIRS, PublicKey, new_pair

_TENANTS: Final = [tenant.id for tenant in DEVELOPMENT_TENANTS]
_KEYS: Final = ("secret_env", "secret_file", "key_file")
_TOKEN_OPTIONS: Final = (
    *("tenant", "subject", "lifetime", "issuer", "audience", "claim"),
    *("secret_env", "secret_file", "key_file", "no_kid", "other_tenant"),
)
_PLACE: Final = re.compile(r"^tokens\.(\w+)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec token`."""
    parser.usage = "cbspec token [OPTION ...]"
    add = parser.add_mutually_exclusive_group().add_argument
    add("--bad", metavar="KIND", help="mint a bad token of this kind")
    add("--list-bad", action="store_true", help="list the kinds of bad tokens")
    add("--jwks", nargs="+", type=Path, metavar="FILE", help="print the public keys of PEM files as a JWKS")
    new = f"create a key pair, and write the private key to a new file ({', '.join(OF_KEY_PAIRS)})"
    add("--new-key", nargs=2, metavar=("ALGORITHM", "FILE"), help=new)
    add = parser.add_argument_group("claims of the token").add_argument
    add("--tenant", type=_text, metavar="ID", help=f"the claim tenant_id (default: {_TENANTS[0]})")
    add("--subject", metavar="NAME", help="the claim sub (default: user123)")
    add("--lifetime", type=float, metavar="SECONDS", help="seconds until the token expires (default: 3600)")
    add("--issuer", metavar="NAME", help="the claim iss")
    add("--audience", metavar="NAME", help="the claim aud")
    add("--claim", action="append", type=_claim, metavar="NAME=JSON", help="an additional claim (repeatable)")
    other = f"second tenant, for kinds of --bad that need one (default: {_TENANTS[1]})"
    add("--other-tenant", type=_text, metavar="ID", help=other)
    signature = parser.add_argument_group("signature (default: with the development secret)")
    add = signature.add_mutually_exclusive_group().add_argument
    add("--secret-env", metavar="NAME", help="environment variable with the secret")
    add("--secret-file", metavar="FILE", help="file with the secret")
    add("--key-file", metavar="FILE", help="PEM file with the private key")
    algorithm = "signature algorithm (default: HS256 for a secret, or the algorithm of the key)"
    signature.add_argument("--algorithm", choices=ALGORITHMS, help=algorithm)
    add = signature.add_mutually_exclusive_group().add_argument
    add("--kid", type=_text, metavar="ID", help="key id in the header (default for a private key: its id in --jwks)")
    add("--no-kid", action="store_true", help="omit the key id from the header")


def run(args: argparse.Namespace) -> int:
    """Mint or list tokens, or make or publish keys; return the exit code."""
    task = next((name for name in ("list_bad", "jwks", "new_key") if getattr(args, name)), None)
    if task is not None:
        _reject_token_options(task, args)
    if args.list_bad:
        width = max(len(forgery.name) for forgery in FORGERIES)
        print("\n".join(f"{each.name.ljust(width)}  {each.requirement}  {each.sentence}" for each in FORGERIES))
    elif args.jwks:
        print(json.dumps({"keys": [_published(path, args) for path in args.jwks]}, indent=2))
    elif args.new_key:
        _make_key(args.new_key[0], Path(args.new_key[1]))
    else:
        _mint(args)
    return 0


def _reject_token_options(task: str, args: argparse.Namespace) -> None:
    used = {"jwks": ("kid", "algorithm")}.get(task, ())
    given = [name for name in (*_TOKEN_OPTIONS, "kid", "algorithm") if name not in used and getattr(args, name)]
    if given:
        raise CommandError(f"{_option(given[0])} applies to tokens, and {_option(task)} mints none: remove one of them")
    if task == "jwks" and args.kid and len(args.jwks) > 1:
        raise CommandError("--kid names one key: give --jwks one file, or remove --kid")


def _mint(args: argparse.Namespace) -> None:
    forgery = _forgery(args.bad) if args.bad is not None else None
    issuer = Issuer(_tokens(args), time.time)
    tenant = args.tenant or _TENANTS[0]
    try:
        token: object = issuer.minted(tenant, dict(args.claim or ()))
        if forgery is not None:
            other = args.other_tenant or next(id_ for id_ in _TENANTS if id_ != tenant)
            token = issuer.forged(forgery, tenant, other, str(token))
    except (ProfileLacks, ValueError) as error:
        raise CommandError(f"this token can't be minted: {error}") from None
    if token is not MISSING:
        print(token if isinstance(token, str) else json.dumps(token))
    _note(_about_bad(forgery, token) if forgery is not None else _about_valid(str(token)))


def _about_valid(token: str) -> str:
    parts = CompactJws.split(token)
    named = f", key {parts.headers['kid']}" if "kid" in parts.headers else ""
    subject, tenant, ends = (json.dumps(parts.claims[name]) for name in ("sub", "tenant_id", "exp"))
    with contextlib.suppress(ValueError, OverflowError, OSError):  # --claim exp=... may give any JSON value
        ends = datetime.datetime.fromtimestamp(int(ends), datetime.UTC).isoformat(" ")
    return f"for {subject} of {tenant}, until {ends} ({parts.headers['alg']}{named})"


def _about_bad(forgery: Forgery, token: object) -> str:
    hint = " (Send this JSON value as the member token.)"
    if token is MISSING:
        hint = " (Send the auth message without the member token.)"
    return f"{forgery.requirement}: {forgery.sentence}{'' if isinstance(token, str) else hint}"


def _tokens(args: argparse.Namespace) -> IssuerSettings:
    """Return the options as the token settings of a profile; CommandError names a wrong option."""
    claims = {"iss": args.issuer, "aud": args.audience}
    given: dict[str, Any] = {
        "development": all(getattr(args, name) is None for name in _KEYS),
        "claims": {name: value for name, value in claims.items() if value is not None},
        "key_id": args.kid,
        **{name: getattr(args, name) for name in (*_KEYS, "algorithm", "subject", "lifetime")},
    }
    try:
        named = {name: value for name, value in given.items() if value is not None}
        tokens = from_mapping({"tokens": named}, Path()).tokens
    except ProfileError as error:
        raise CommandError("\n".join(_PLACE.sub(_as_option, problem) for problem in error.problems)) from None
    if tokens.key_file is None or args.kid or args.no_kid:
        return tokens
    return replace(tokens, key_id=key_id(PublicKey.from_pem(tokens.key_file.read_bytes(), tokens.algorithm)))


def _as_option(place: re.Match[str]) -> str:
    return _option(place[1])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _forgery(name: str) -> Forgery:
    try:
        return by_name(name)
    except ValueError as error:
        raise CommandError(f"--bad {name}: {error}") from None


def _published(path: Path, args: argparse.Namespace) -> dict[str, str]:
    try:
        return public_jwk(PublicKey.from_pem(path.read_bytes(), args.algorithm), args.kid)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None


def _make_key(algorithm: str, path: Path) -> None:
    try:
        pair = new_pair(algorithm)
    except ValueError as error:
        raise CommandError(f"--new-key {algorithm}: {error}") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} exists; name a new file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pair)
    _note(f"{path}: the private key for {algorithm}; keep it secret. cbspec token --jwks {path} prints the public key")


def _note(text: str) -> None:
    print(f"cbspec token: {text}", file=sys.stderr)


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _claim(text: str) -> tuple[str, object]:
    name, is_given, value = text.partition("=")
    if not name or not is_given:
        raise argparse.ArgumentTypeError("must be NAME=JSON, for example admin=true")
    try:
        return name, strictjson.loads(value.encode("utf-8", "surrogateescape"))
    except strictjson.NotStrictJson:
        reason = f"{name}: the value is not JSON; quote text, for example '{name}=\"text\"'"
        raise argparse.ArgumentTypeError(reason) from None
