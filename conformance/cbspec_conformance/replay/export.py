"""A failure as a script of the standard library alone, tried on the relay before it is offered."""

from __future__ import annotations

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

from cbspec.catalogue.requirements import find
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.failures.forged import compare
from cbspec_conformance.failures.recipes import Recipe
from cbspec_conformance.replay.player import Player
from cbspec_conformance.target.relay import RelayUnderTest

_SOURCE = Path(__file__).with_name("standalone.py")
_NOQA = re.compile(r"  # noqa: .*$", re.MULTILINE)
_PATIENCE = 120.0  # seconds that a script may take
_SHOWS_IT = 1


class NotExportable(Exception):
    """No script can be offered; the text says why."""


def export(failure: Failure, target: RelayUnderTest, file: Path) -> None:
    """Write the script of a failure that was just seen on `target`, and leave it there only if it shows it, too.

    Raises NotExportable, or OSError where the file can't be written.
    """
    if failure.expectation is None:
        raise NotExportable("the failure isn't an exchange of messages that can be played without its case")
    player = Player(target, failure.tokens or {})
    tokens = {name: _recipe(name, recipe, player) for name, recipe in (failure.tokens or {}).items()}
    file.write_text(script(failure, target.profile, tokens), encoding="utf-8", errors="backslashreplace")
    given = {_variable(name): player.token(name) for name, recipe in tokens.items() if recipe.get("given")}
    try:
        done = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-I", str(file), str(target.endpoint)],
            env={**os.environ, **environment(target.profile), **given},
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        code, said = done.returncode, done.stdout.decode(errors="replace").splitlines()[-1:]
    except subprocess.TimeoutExpired:
        code, said = -1, ["it came to no end"]
    if code != _SHOWS_IT:
        file.unlink()
        raise NotExportable(f"a script doesn't show the failure on this relay: {(said or ['it said nothing'])[0]}")


def environment(profile: Profile) -> dict[str, str]:
    """Return the environment in which a script finds what it needs of a profile."""
    tls, where, secret = profile.tls, profile.target, _secret(profile)
    ca = development_ca().ca_file if tls.ca == "development" else tls.ca
    known = {
        "CBSPEC_CA": str(ca) if ca not in (None, "system") else "",
        "CBSPEC_VERIFY": "" if tls.verify else "no",
        "CBSPEC_SERVER_NAME": where.server_name or "",
        "CBSPEC_WEBSOCKET_PATH": where.websocket_path,
        "CBSPEC_TIMEOUT": f"{where.timeout:g}",
        "CBSPEC_SECRET": secret or "",
        "CBSPEC_CLIENT_CERTIFICATE": str(tls.client_certificate or ""),
        "CBSPEC_CLIENT_KEY": str(tls.client_key or ""),
    }
    return {name: value for name, value in known.items() if value}


def script(failure: Failure, profile: Profile, tokens: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the script's text."""
    data = {
        "requirement": failure.requirement,
        "target": str(profile.target.address or failure.target),
        "sources": bool(profile.target.source_addresses),
        "claims": {"sub": profile.tokens.subject, **profile.tokens.claims},
        "expectation": failure.to_json()["expectation"],
        "tokens": tokens,
        "steps": failure.to_json()["steps"],
    }
    code = _NOQA.sub("", _SOURCE.read_text(encoding="utf-8")).partition('\n"""\n')[2]
    literal = pprint.pformat(data, width=116, sort_dicts=False)
    code = code.replace("FAILURE: dict[str, Any] = {}", f"FAILURE: dict[str, Any] = {literal}", 1)
    return f'#!/usr/bin/env python3\n"""{_description(failure, tokens)}"""\n{code}'


def _description(failure: Failure, tokens: Mapping[str, Mapping[str, Any]]) -> str:
    row = find(failure.requirement)
    given = [_variable(name) for name, recipe in tokens.items() if recipe.get("given")]
    told = {name: recipe for name, recipe in (failure.tokens or {}).items() if _variable(name) in given}
    which = [f"  {_variable(name)}: {_told(recipe)}" for name, recipe in told.items()]
    paragraphs = [
        f"{row.id} ({row.level}): {row.demand}",
        f"Expected {failure.expected}; seen: {failure.seen}.",
        "Usage: python3 THIS_FILE HOST:PORT. It needs Python 3.10 or newer and nothing else. Exit code 1: the failure "
        "is there; 0: it is not; 2: nothing can be said. Environment: CBSPEC_SECRET (the relay's HS256 secret), "
        "CBSPEC_CA (a CA file), CBSPEC_SERVER_NAME, CBSPEC_VERIFY=no, CBSPEC_WEBSOCKET_PATH, CBSPEC_TIMEOUT (seconds), "
        "CBSPEC_CLIENT_CERTIFICATE and CBSPEC_CLIENT_KEY, and CBSPEC_TOKEN_1 and so on for tokens made elsewhere.",
    ]
    text = "\n\n".join("\n".join(textwrap.wrap(paragraph, 112)) for paragraph in paragraphs)
    text += "\n\nTokens that have to be given:\n" + "\n".join(which) if which else ""
    return text.replace("\\", "\\\\").replace('"""', "'''") + "\n"


def _told(recipe: Recipe) -> str:
    return f"the forgery {recipe.forgery} of {recipe.of}" if recipe.forgery else f"a valid token of {recipe.tenant}"


def _variable(name: str) -> str:
    return f"CBSPEC_{name.upper().replace('-', '_')}"


def _secret(profile: Profile) -> str | None:
    return DEVELOPMENT_SECRET if profile.tokens.development else profile.tokens.secret


def _recipe(name: str, recipe: Recipe, player: Player) -> dict[str, Any]:
    """Return how the script makes a token; `given` where it can't."""
    secret, tokens = _secret(player.target.profile), player.target.profile.tokens
    if not secret or tokens.algorithm not in (None, "HS256") or tokens.key_id:
        return {"given": True}
    if not recipe.forgery:
        return recipe.to_dict()
    changes = compare(player.token(name), player.token(recipe.of), secret, time.time())
    return {"of": recipe.of, **changes} if changes else {"given": True}
