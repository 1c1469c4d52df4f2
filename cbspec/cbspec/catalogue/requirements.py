"""The requirement catalogue: requirements.toml for relays, client-requirements.toml for clients.

A verdict refers to a set of requirements, so each revision of the catalogue is frozen: `cbspec.catalogue.revisions`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from cbspec.errors import InputError

CHAPTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HEL": "Hello",
        "AUT": "Authentication",
        "TUN": "Tunnels",
        "HBT": "Heartbeat",
        "ERR": "Errors",
        "UNK": "Unknown message types",
        "LIM": "Tenant limits",
        "CON": "Connection limit",
        "BUF": "Buffer pool",
        "RAT": "Rate limit",
        "ADR": "Allowed addresses",
        "UNA": "Unavailable relay",
        "TRF": "Data transfer",
        "MSG": "Messages: JSON and UTF-8",
        "CMP": "No compression",
        "TLS": "TLS 1.3",
        "TEN": "Multi-tenancy",
        "MET": "Metrics",
        "WSK": "WebSocket",
        "ROB": "Robustness",
        "REF": "Refusals",
        "RTY": "Retries",
        "TOL": "Tolerance",
        "BRK": "Broken answers",
        "SIL": "Silence",
        "REC": "Reconnection",
        "LIF": "Life of the process",
        "TOK": "Secrecy of the token",
    }
)
"""The title of each chapter, by the three letters of its ids."""

_HEAD: Final = ("specification", "revision")
_ID: Final = re.compile(r"C[BC]-([A-Z]{3})-\d{3}")
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class Level(StrEnum):
    """The strength of a demand."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"


class JudgedRole(StrEnum):
    """The role of the implementation that a requirement concerns; its ids begin with CB (relays) or CC (clients)."""

    RELAY = "relay"
    CLIENT = "client"


class UnknownRequirement(LookupError, InputError):
    """No requirement has that id; the text names the nearest ones."""

    def __init__(self, wanted: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(wanted.upper(), list(known), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "'cbspec explain' lists them all"
        super().__init__(f"unknown requirement {wanted!r}; {hint}")


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One demand on an implementation, in our own words.

    `when` is the condition under which it applies (empty: always). `needs` are the profile keys without which it can't
    be exercised. `untestable` is the reason why no case exists (empty: at least one does). `deployed` is the behaviour
    of deployed implementations, which is information and no demand (empty: unknown).
    """

    id: str
    level: Level
    section: _Text
    demand: _Text
    why: _Text
    when: str = ""
    needs: tuple[str, ...] = ()
    untestable: str = ""
    deployed: str = ""

    @property
    def chapter(self) -> str:
        """The three letters of the id, a key of `CHAPTERS`."""
        return self.id[3:6]

    @property
    def role(self) -> JudgedRole:
        """The implementation that it concerns."""
        return JudgedRole.CLIENT if self.id.startswith("CC") else JudgedRole.RELAY


def parse(document: Mapping[str, object]) -> Mapping[str, Requirement]:
    """Return the requirements in a TOML document by id. Raises ValueError, which names the malformed row."""
    return MappingProxyType({id_: _row(id_, row) for id_, row in document.items() if id_ not in _HEAD})


def _row(id_: str, row: object) -> Requirement:
    match = _ID.fullmatch(id_)
    if match is None or match[1] not in CHAPTERS:
        raise ValueError(f"requirement {id_}: an id is CB- or CC-<chapter>-<three digits>, with a chapter of CHAPTERS")
    try:
        return msgspec.convert({"id": id_, **row} if isinstance(row, dict) else row, Requirement)
    except msgspec.ValidationError as error:
        raise ValueError(f"requirement {id_}: {error}") from None


def _document(name: str) -> Mapping[str, object]:
    return tomllib.loads(resources.files("cbspec.catalogue").joinpath(name).read_text("utf-8"))


_DOCUMENT: Final = _document("requirements.toml")

SPECIFICATION: Final = str(_DOCUMENT["specification"])
"""The version of the specification that the catalogue covers."""

CATALOGUE: Final = f"{SPECIFICATION}-r{_DOCUMENT['revision']}"
"""The name of the catalogue's present revision: verdicts by different revisions can't be compared."""

REQUIREMENTS: Final[Mapping[str, Requirement]] = parse(_DOCUMENT)
"""Every requirement on relays by its id."""

CLIENT_REQUIREMENTS: Final[Mapping[str, Requirement]] = parse(_document("client-requirements.toml"))
"""Every requirement on clients by its id."""

_ALL: Final[Mapping[str, Requirement]] = {**REQUIREMENTS, **CLIENT_REQUIREMENTS}


def find(id_: str) -> Requirement:
    """Return the requirement with an id in upper or lower case. Raises UnknownRequirement."""
    try:
        return _ALL[id_.strip().upper()]
    except KeyError:
        raise UnknownRequirement(id_, _ALL) from None
