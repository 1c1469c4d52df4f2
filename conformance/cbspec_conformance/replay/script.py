"""A failure as a script for Python's standard library, made from the template `standalone`."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pprint
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cbspec.catalogue.requirements import find
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.profile.profile import Profile, Tenant
from cbspec.profile.target import USUAL_SUBJECT, IssuerSettings
from cbspec.tokens.forgery import FORGERIES, KNOWN_SECRETS
from cbspec.tokens.jws import CompactJws, RawNumber, dump
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.failures.recipes import SPOILED, Recipe
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.record.conclusions import Expectation, ExpectationKind
from cbspec_conformance.record.naming import STEM
from cbspec_conformance.replay import standalone
from cbspec_conformance.replay.standalone import SIGNATURES
from cbspec_conformance.target.tokens import TokenSource

_SOURCE = Path(standalone.__file__)
_NOQA = re.compile(r"  # noqa: .*$", re.MULTILINE)
_TIMEOUT = 120.0  # seconds for a script
_COUNTED = (ExpectationKind.INVARIANT, ExpectationKind.ALL_ANSWERED)  # expectations of all answers, not of the first


class FailureScript:
    """The script of a failure for one relay.

    Arguments: `expectation` is the failure's, `source` makes its tokens, `profile` is the relay's. Raises Inconclusive
    or NotExercised if a token cannot be made.
    """

    def __init__(self, failure: Failure, expectation: Expectation, source: TokenSource, profile: Profile) -> None:
        self._failure = failure
        self._expectation = expectation
        self._profile = profile
        self._made: dict[str, str] = {}
        recipes = {name: _for_profile(recipe, profile.tokens) for name, recipe in (failure.tokens or {}).items()}
        for name, recipe in recipes.items():
            self._made[name] = self._make(recipe, source)
        self._tokens = {name: self._recipe(name, recipe) for name, recipe in recipes.items()}

    def run(self, file: Path) -> tuple[int, list[str]]:
        """Write the script to a file and run it; return its exit code and the lines of its output."""
        file.write_text(self._text(), encoding="utf-8", errors="backslashreplace")
        given = {_variable(name): self._made[name] for name, recipe in self._tokens.items() if recipe.get("given")}
        try:
            done = subprocess.run(  # noqa: S603 - our own
                [sys.executable, "-I", str(file), str(self._profile.target.address)],
                env={**os.environ, **environment(self._profile), **given},
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return standalone.UNCLEAR, ["the script did not end in time"]
        output = (done.stdout or done.stderr).decode(errors="replace")
        return done.returncode, output.splitlines() or ["no output"]

    def _make(self, recipe: Recipe, source: TokenSource) -> str:
        if not recipe.forgery:
            return source.valid(Tenant(recipe.tenant), recipe.subject)
        original = self._made[recipe.of]
        if recipe.forgery == SPOILED:
            return source.spoil(original)
        forgery = next((forgery for forgery in FORGERIES if forgery.name == recipe.forgery), None)
        if forgery is None:
            raise Inconclusive(f"this kit knows no forgery {recipe.forgery!r}")
        return str(source.forged(forgery, original))

    def _recipe(self, name: str, recipe: Recipe) -> dict[str, Any]:
        """Return how the script makes a token; `given` if the user has to provide it."""
        secret, tokens = _secret(self._profile), self._profile.tokens
        if not secret or tokens.algorithm not in (None, "HS256") or tokens.key_id:
            return {"given": True}
        if recipe.forgery.endswith("-as-secret"):
            return {"given": True}  # the script has no library that reads public keys
        if not recipe.forgery:
            return dict(msgspec.to_builtins(recipe))
        changes = compare(self._made[name], self._made[recipe.of], secret, time.time())
        return {"of": recipe.of, **changes} if changes else {"given": True}

    def _text(self) -> str:
        failure, profile = self._failure, self._profile
        data = {
            "requirement": failure.requirement,
            "target": str(profile.target.address),
            "sources": bool(profile.target.source_addresses),
            "claims": {"sub": profile.tokens.subject or USUAL_SUBJECT, **profile.tokens.claims},
            "no_room": sorted(map(str, OUT_OF_ROOM - set(self._expectation.values))),
            "compared": None if self._expectation.kind in _COUNTED else 1,
            "tokens": self._tokens,
            "steps": failure.to_json()["steps"],
        }
        code = _NOQA.sub("", _SOURCE.read_text(encoding="utf-8")).partition('\n"""\n')[2]
        literal = pprint.pformat(data, width=116, sort_dicts=False)
        code = code.replace("FAILURE: dict[str, Any] = {}", f"FAILURE: dict[str, Any] = {literal}", 1)
        return f'#!/usr/bin/env python3\n"""{_description(failure, self._tokens)}"""\n{code}'


def _for_profile(recipe: Recipe, tokens: IssuerSettings) -> Recipe:
    """Return a recipe without the usual subject of its case if all tokens for the relay have another."""
    usual = recipe.subject is not None and STEM.fullmatch(recipe.subject) is not None
    fixed = tokens.subject is not None or not tokens.has_key
    return msgspec.structs.replace(recipe, subject=None) if usual and fixed else recipe


def environment(profile: Profile) -> dict[str, str]:
    """Return the environment variables that pass a profile to a script."""
    tls, target = profile.tls, profile.target
    ca = development_ca().ca_file if tls.ca == "development" else tls.ca
    variables = {
        "CBSPEC_CA": str(ca) if ca not in (None, "system") else "",
        "CBSPEC_VERIFY": "" if tls.verify else "no",
        "CBSPEC_SERVER_NAME": target.server_name or "",
        "CBSPEC_WEBSOCKET_PATH": target.websocket_path,
        "CBSPEC_TIMEOUT": f"{target.timeout:g}",
        "CBSPEC_SECRET": _secret(profile) or "",
        "CBSPEC_CLIENT_CERTIFICATE": str(tls.client_certificate or ""),
        "CBSPEC_CLIENT_KEY": str(tls.client_key or ""),
    }
    return {name: value for name, value in variables.items() if value}


def _description(failure: Failure, tokens: Mapping[str, Mapping[str, Any]]) -> str:
    row = find(failure.requirement)
    given = [
        f"  {_variable(name)}: "
        + (f"the forgery {recipe.forgery} of {recipe.of}" if recipe.forgery else f"a valid token of {recipe.tenant}")
        for name, recipe in (failure.tokens or {}).items()
        if tokens[name].get("given")
    ]
    paragraphs = [
        f"{row.id} ({row.level}): {row.demand}",
        f"Expected {failure.expected}; seen: {failure.seen}.",
        "Usage: python3 THIS_FILE HOST:PORT. It needs Python 3.10 or later and no package. Exit code 1: the failure is "
        "there; 0: it is not; 2: the run proves nothing. Environment: CBSPEC_SECRET (the relay's HS256 secret), "
        "CBSPEC_CA (a CA file), CBSPEC_SERVER_NAME, CBSPEC_VERIFY=no, CBSPEC_WEBSOCKET_PATH, CBSPEC_TIMEOUT (seconds), "
        "CBSPEC_CLIENT_CERTIFICATE and CBSPEC_CLIENT_KEY, and CBSPEC_TOKEN_1 and so on for ready-made tokens.",
    ]
    text = "\n\n".join("\n".join(textwrap.wrap(paragraph, 112)) for paragraph in paragraphs)
    text += "\n\nTokens to provide:\n" + "\n".join(given) if given else ""
    return text.replace("\\", "\\\\").replace('"""', "'''") + "\n"


def _variable(name: str) -> str:
    return f"CBSPEC_{name.upper().replace('-', '_')}"


def _secret(profile: Profile) -> str | None:
    return DEVELOPMENT_SECRET if profile.tokens.development else profile.tokens.secret


_NEAR = 400 * 24 * 60 * 60  # seconds: a time claim this close to now is relative to it


def compare(forged: str, valid: str, secret: str, now: float) -> dict[str, Any] | None:
    """Return how to make `forged` from `valid`, or None if it differs in more than header, claims and signature."""
    try:
        bad, good = CompactJws.split(forged), CompactJws.split(valid)
        changed, old, headers = json.loads(bad.payload, parse_float=RawNumber), good.claims, bad.headers
    except ValueError:
        return None
    header = {name: value for name, value in headers.items() if good.headers.get(name) != value}
    if not isinstance(changed, dict) or dump(changed) != bad.payload or set(header) - {"alg"}:
        return None
    claims = {name: value for name, value in changed.items() if name not in old or old[name] != value}
    later = {
        name: round(float(value) - now)
        for name, value in claims.items()
        if name in ("exp", "nbf") and isinstance(value, int | RawNumber) and abs(float(value) - now) < _NEAR
    }
    recipe = {
        "header": header,
        "claims": {name: value for name, value in claims.items() if name not in later},
        "numbers": [name for name, value in claims.items() if isinstance(value, RawNumber) and name not in later],
        "in_seconds": later,
        "without": [name for name in old if name not in changed],
        **_signature(forged.rpartition(".")[0], bad.signature, good.signature, secret, changed),
    }
    return {name: value for name, value in recipe.items() if value or name == "secret"}


def _signature(text: str, made: bytes, old: bytes, secret: str, claims: Mapping[str, object]) -> dict[str, str]:
    if made == _sign(secret, text):
        return {"signature": "right"}
    kind = next((name for name, change in SIGNATURES.items() if change(old) == made), "")
    if kind:
        return {"signature": kind}
    known = [*KNOWN_SECRETS, *(value for value in claims.values() if isinstance(value, str))]
    guess = [guess for guess in known if made == _sign(guess, text)]
    return {"signature": "of another key", **({"secret": guess[0]} if guess else {})}


def _sign(secret: str, text: str) -> bytes:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
