"""The target profile: the suite's knowledge of a relay, read from TOML.

The tables themselves are in `target.py`; this module reads, completes and writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from cbspec.documents import DocumentError, DocumentReader, load_toml
from cbspec.profile.identity import DEVELOPMENT_TENANTS, is_loopback
from cbspec.profile.reading import ProfileDocument, finishes
from cbspec.profile.target import DEVELOPMENT as DEVELOPMENT
from cbspec.profile.target import SYSTEM as SYSTEM
from cbspec.profile.target import Action as Action
from cbspec.profile.target import Condition as Condition
from cbspec.profile.target import Endpoint as Endpoint
from cbspec.profile.target import HttpCall as HttpCall
from cbspec.profile.target import IssuerSettings as IssuerSettings
from cbspec.profile.target import MetricsEndpoint as MetricsEndpoint
from cbspec.profile.target import Profile as Profile
from cbspec.profile.target import Rate as Rate
from cbspec.profile.target import ReadyTokens as ReadyTokens
from cbspec.profile.target import RelayCapabilities as RelayCapabilities
from cbspec.profile.target import RemoteEnds as RemoteEnds
from cbspec.profile.target import TargetSettings as TargetSettings
from cbspec.profile.target import Tenant as Tenant
from cbspec.profile.target import TlsSettings as TlsSettings
from cbspec.profile.writing import MINIMAL as MINIMAL
from cbspec.profile.writing import dump as dump
from cbspec.profile.writing import dump_public as dump_public
from cbspec.profile.writing import template as template
from cbspec.tokens.jws import claims_of

_USUAL_TENANT: Final = Tenant("tenant-001")
"""The tenant of the specification's examples, the default of a profile with a key and without tenants."""


ProfileError = DocumentError
"""A profile can't be used; `problems` has a line for each mistake."""


def load(path: str | Path) -> Profile:
    """Read a profile file; raise ProfileError with the file's name and every wrong key."""
    path = Path(path)
    data = load_toml(path)
    try:
        return replace(from_mapping(data, path.parent), path=path)
    except ProfileError as error:
        raise ProfileError(error.problems, str(path)) from None


def from_mapping(data: Mapping[str, object], base: Path) -> Profile:
    """Return the profile in TOML data; files that it names are relative to `base`."""
    profile: Profile = DocumentReader(base, finishes()).read(data, ProfileDocument)
    return profile


def development() -> Profile:
    """Return the profile of a simulator without configuration: development CA, secret and tenants."""
    return Profile(
        tls=TlsSettings(ca=DEVELOPMENT),
        tokens=IssuerSettings(development=True),
        tenants=DEVELOPMENT_TENANTS,
        remote=RemoteEnds(reachable=Endpoint("127.0.0.1", 3389)),
    )


def resolve(profile: Profile | None, target: Endpoint | None) -> Profile:
    """Return a profile with its missing values; `target` takes precedence over the profile's address.

    For a loopback address the defaults are the development CA and, without any setting of tokens, the development
    secret; for any other address, the system's CAs and no tokens. Raises ProfileError if no address is known.
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


def _tenants_of(tokens: IssuerSettings) -> tuple[Tenant, ...]:
    """Return the tenants of a profile that lists none."""
    if tokens.development:
        return DEVELOPMENT_TENANTS
    if tokens.has_key:
        return (_USUAL_TENANT,)
    ready = tokens.ready
    active = dict.fromkeys([*_tenant_ids(ready.valid, ready.second_tenant), *ready.tenants])
    inactive = [id_ for id_ in _tenant_ids(ready.inactive_tenant) if id_ not in active]
    if ready.valid is not None and not active:
        raise ProfileError(["tokens.ready.valid: it names no tenant; give it by tenant, in tokens.ready.tenants"])
    return (*(Tenant(id_) for id_ in active), *(Tenant(id_, active=False) for id_ in inactive))


def _tenant_ids(*tokens: str | None) -> list[str]:
    found = [claims_of(token or "").get("tenant_id") for token in tokens]
    return [claim for claim in found if isinstance(claim, str) and claim]
