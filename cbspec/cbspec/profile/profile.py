"""The target profile: what the suite may know of a relay, read from TOML.

The tables themselves are in `target.py`; this module reads, completes and writes them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from cbspec.profile.identity import DEVELOPMENT_TENANTS, is_loopback
from cbspec.profile.reading import Reader
from cbspec.profile.target import DEVELOPMENT as DEVELOPMENT
from cbspec.profile.target import SYSTEM as SYSTEM
from cbspec.profile.target import Action as Action
from cbspec.profile.target import Condition as Condition
from cbspec.profile.target import Endpoint as Endpoint
from cbspec.profile.target import HttpCall as HttpCall
from cbspec.profile.target import Metrics as Metrics
from cbspec.profile.target import Profile as Profile
from cbspec.profile.target import Rate as Rate
from cbspec.profile.target import Ready as Ready
from cbspec.profile.target import Relay as Relay
from cbspec.profile.target import Remote as Remote
from cbspec.profile.target import Target as Target
from cbspec.profile.target import Tenant as Tenant
from cbspec.profile.target import Tls as Tls
from cbspec.profile.target import Tokens as Tokens
from cbspec.profile.writing import dump as dump
from cbspec.profile.writing import template as template
from cbspec.tokens.jws import Compact

_USUAL_TENANT: Final = Tenant("tenant-001")
"""The tenant of the specification's examples, for whoever has a key and lists no tenants."""


class ProfileError(ValueError):
    """A profile can't be used; `problems` holds a line for each thing that is wrong, all of them at once."""

    def __init__(self, problems: Iterable[str], source: str = "") -> None:
        self.problems = tuple(f"{source}: {problem}" if source else problem for problem in problems)
        super().__init__("\n".join(self.problems))


def load(path: str | Path) -> Profile:
    """Read a profile file; `ProfileError` names the file and every key that is wrong."""
    path = Path(path)
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ProfileError([f"can't be read: {error.strerror or error}"], str(path)) from None
    except UnicodeDecodeError as error:
        raise ProfileError([f"is not UTF-8, at byte {error.start}"], str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ProfileError([f"is not TOML: {error}"], str(path)) from None
    except ValueError:
        raise ProfileError(["holds a number of too many digits"], str(path)) from None
    except RecursionError:
        raise ProfileError(["is nested too deep"], str(path)) from None
    try:
        return replace(from_mapping(data, path.parent), path=path)
    except ProfileError as error:
        raise ProfileError(error.problems, str(path)) from None


def from_mapping(data: Mapping[str, object], base: Path) -> Profile:
    """Make a profile of what a TOML parser gives; files that it names are relative to `base`."""
    reader = Reader(base)
    profile = reader.read(data)
    if reader.problems:
        raise ProfileError(reader.problems)
    return profile


def development() -> Profile:
    """Give the profile of a simulator that was told nothing: development CA, secret and tenants."""
    return Profile(
        tls=Tls(ca=DEVELOPMENT),
        tokens=Tokens(development=True),
        tenants=DEVELOPMENT_TENANTS,
        remote=Remote(reachable=Endpoint("127.0.0.1", 3389)),
    )


def resolve(profile: Profile | None, target: Endpoint | None) -> Profile:
    """Complete a profile: the command line's address goes first, and what is missing follows from the address.

    Without a profile a loopback relay is judged by the development identity; any other gets the system's CAs and no
    tokens. A profile keeps what it says; the development CA and secret fill its gaps on loopback only, the secret only
    where it says nothing of tokens. `ProfileError` where no address is known.
    """
    address = target or (profile.target.address if profile else None)
    if address is None:
        raise ProfileError(
            ["no relay is named: give its address, host:port, on the command line or as target.address in the profile"]
        )
    loopback = is_loopback(address.host)
    if profile is None:
        profile = development() if loopback else Profile()
    tokens = profile.tokens
    if loopback and not tokens.has_key and not tokens.ready:
        tokens = replace(tokens, development=True)
    return replace(
        profile,
        target=replace(profile.target, address=address, server_name=profile.target.server_name or address.host),
        tls=replace(profile.tls, ca=profile.tls.ca or (DEVELOPMENT if loopback else SYSTEM)),
        tokens=tokens,
        tenants=profile.tenants or _tenants_of(tokens),
    )


def _tenants_of(tokens: Tokens) -> tuple[Tenant, ...]:
    """Tell the tenants from the tokens, where the profile lists none."""
    if tokens.development:
        return DEVELOPMENT_TENANTS
    if tokens.has_key:
        return (_USUAL_TENANT,)
    ready = tokens.ready
    active = dict.fromkeys([*_tenant_ids(ready.valid, ready.second_tenant), *ready.tenants])
    inactive = [id_ for id_ in _tenant_ids(ready.inactive_tenant) if id_ not in active]
    if ready.valid is not None and not active:
        raise ProfileError(
            ["tokens.ready.valid: no tenant can be told from it; give it by tenant, in tokens.ready.tenants"]
        )
    return (*(Tenant(id_) for id_ in active), *(Tenant(id_, active=False) for id_ in inactive))


def _tenant_ids(*tokens: str | None) -> list[str]:
    found = []
    for token in tokens:
        try:
            claim = Compact.split(token or "").claims.get("tenant_id")
        except ValueError:
            continue
        if isinstance(claim, str) and claim:
            found.append(claim)
    return found
