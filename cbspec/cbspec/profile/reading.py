"""Read a target profile: convert its TOML, and look up the secrets and files that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final

from cryptography import x509

from cbspec.documents import Count, DocumentReader, Finish, Place, Text, says, write_place
from cbspec.profile.target import DEVELOPMENT, Condition, ConditionChange, IssuerSettings, Profile, Tenant, TlsSettings
from cbspec.tokens.jwt import SigningKey

_KEY_SOURCES: Final = ("secret", "secret_env", "secret_file", "key_file", "development")
_OWN_CLAIMS: Final = ("sub", "tenant_id", "iat", "exp", "jti")


@dataclass(frozen=True, slots=True)
class TokensTable(IssuerSettings):
    """The table `tokens`, in which the secret can be elsewhere."""

    secret_env: Annotated[Text | None, says("The environment variable with the secret.", "RELAY_SECRET")] = None
    secret_file: Annotated[
        Text | None, says("The file with the secret; a line feed at its end is ignored.", "secret.txt")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedCondition(ConditionChange):
    """A condition in which a limit of the relay is small."""

    limit: Annotated[Count, says("The limit while the condition holds.", 3)]


@dataclass(frozen=True, slots=True)
class DialledCondition(ConditionChange):
    """A condition at the remote end."""

    dialled: Annotated[
        bool, says("Whether the relay at the second address dials the remote end, so that reachable ones work there.")
    ] = False


@dataclass(frozen=True, slots=True)
class ConditionsTable:
    """The table `conditions`."""

    unavailable: Annotated[
        ConditionChange | None, says("The relay is unavailable, for example because it is draining.")
    ] = None
    buffer_pool: Annotated[LimitedCondition | None, says("The buffer pool is small.")] = None
    connection_limit: Annotated[LimitedCondition | None, says("The whole relay's connection limit is small.")] = None
    transfer_failed: Annotated[DialledCondition | None, says("Data can't be transferred.")] = None


@dataclass(frozen=True, slots=True)
class ProfileDocument(Profile):
    """The tables of a profile file; every key is optional."""

    tokens: Annotated[
        TokensTable,
        says(
            "How tokens are made: set one of secret, secret_env, secret_file, key_file and development, or ready-made "
            "tokens below. If all are absent: the development secret for a loopback address, no tokens for any other."
        ),
    ] = TokensTable()
    conditions: Annotated[
        ConditionsTable,
        says(
            "Conditions that clients can't cause. Each one already holds at a second address (target), or a command or "
            "an HTTP call (begin) causes it and another (end) ends it; both may restart the relay."
        ),
    ] = ConditionsTable()  # type: ignore[assignment] # `_finish_conditions` converts the table to a mapping


def _finish_tls(tls: TlsSettings, place: Place, reader: DocumentReader) -> TlsSettings:
    for key in ("ca", "client_certificate"):
        path = getattr(tls, key)
        if isinstance(path, Path):
            with reader.blaming((*place, key), path):
                data = path.read_bytes()
                try:
                    x509.load_pem_x509_certificates(data)
                except ValueError:
                    raise ValueError("has no certificate in PEM form") from None
    return tls


def _finish_tokens(table: TokensTable, place: Place, reader: DocumentReader) -> IssuerSettings:
    named = [key for key in _KEY_SOURCES if getattr(table, key)]
    if len(named) > 1:
        reader.report(place, f"{' and '.join(named)} exclude each other; keep one")
    for claim in _OWN_CLAIMS:
        if claim in table.claims:
            reader.report((*place, "claims", claim), "the suite sets this claim itself")
    values = {item.name: getattr(table, item.name) for item in fields(IssuerSettings)}
    source, secret = "secret" if table.secret else "algorithm", table.secret
    if table.secret_env:
        source, secret = "secret_env", reader.variable((*place, "secret_env"), table.secret_env)
    elif table.secret_file:
        source, secret = "secret_file", reader.text_file((*place, "secret_file"), table.secret_file)
    if table.key_file:
        with reader.blaming((*place, "key_file"), table.key_file):
            SigningKey.from_pem(table.key_file, table.algorithm)
    elif secret or table.algorithm:
        with reader.blaming((*place, source)):
            SigningKey.hmac(secret or DEVELOPMENT, table.algorithm or "HS256")
    return IssuerSettings(**{**values, "secret": secret})


def _finish_condition(table: ConditionChange, place: Place, reader: DocumentReader) -> Condition:
    if table.target is None and table.begin is None:
        reader.report(place, "needs target, if it already holds there, or begin, the action that causes it")
    if table.target is not None and (table.begin or table.end):
        reader.report(place, "target excludes begin and end; keep one way")
    elif table.end and not table.begin:
        reader.report(place, "end needs begin")
    return Condition(**{item.name: getattr(table, item.name) for item in fields(table)})


def _finish_conditions(table: ConditionsTable, place: Place, reader: DocumentReader) -> dict[str, Condition]:
    found = {item.name: getattr(table, item.name) for item in fields(table)}
    return {name: condition for name, condition in found.items() if condition is not None}


def _finish_profile(document: ProfileDocument, place: Place, reader: DocumentReader) -> Profile:
    values = {item: getattr(document, item.name) for item in fields(document)}
    return Profile(**{item.name: value for item, value in values.items() if value is not item.default})


def _distinct_tenants() -> Finish:
    seen: dict[str, Place] = {}

    def finish(tenant: Tenant, place: Place, reader: DocumentReader) -> Tenant:
        if (first := seen.setdefault(tenant.id, place)) != place:
            reader.report((*place, "id"), f"{write_place(first)} has the same id")
        return tenant

    return finish


def finishes() -> Mapping[type, Finish]:
    """Return the functions that complete the tables of one profile."""
    return {
        TlsSettings: _finish_tls,
        TokensTable: _finish_tokens,
        Tenant: _distinct_tenants(),
        ConditionChange: _finish_condition,
        LimitedCondition: _finish_condition,
        DialledCondition: _finish_condition,
        ConditionsTable: _finish_conditions,
        ProfileDocument: _finish_profile,
    }
