"""The types of values in configuration files and faults: each constrains a value and describes it in words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from cbspec.documents import INVALID, Converted, Place, parsed
from cbspec.documents import DocumentReader as Reader

_MAX_PORT: Final = 65_535
_MAX_HOST: Final = 253
_LABEL: Final = r"(?!-)(?!..--)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
        title="a name of letters, digits, dots, hyphens and underscores, 64 at most",
    ),
]
Port = Annotated[int, Meta(ge=0, le=_MAX_PORT, title=f"a port from 0 to {_MAX_PORT}")]
Natural = Annotated[int, Meta(ge=0)]
Delay = Annotated[float, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]
JsonObject = Annotated[Mapping[str, Any], Meta(title="a JSON object")]


def host_name(text: str) -> str:
    """Return a DNS name or an IP address for a certificate; ValueError gives the reason."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if len(text) > _MAX_HOST or not _HOST.fullmatch(text):
            allowed = "a DNS name of letters, digits, hyphens and dots, or an IP address"
            raise ValueError(f"must be {allowed}, not {text!r:.60}") from None
    return text


HostName = Annotated[str, parsed(host_name)]


def one_of(*words: str) -> Any:  # noqa: ANN401 - a type
    """Return the type of a choice from these words."""
    choice: Any = Literal
    return choice[words]


def up_to(most: int) -> Any:  # noqa: ANN401 - a type
    """Return the type of a whole number from 1 to `most`."""
    return Annotated[int, Meta(ge=1, le=most)]


def short(most: int) -> Any:  # noqa: ANN401 - a type
    """Return the type of a string of at most `most` bytes."""
    title = f"a string of at most {most} bytes"

    def convert(value: object, place: Place, reader: Reader) -> object:
        text = reader.convert(value, str, place)
        if text is not INVALID and len(text.encode()) > most:
            reader.report(place, f"must be {title}")
            return INVALID
        return text

    return Annotated[str, Converted(convert, {"type": "string", "maxLength": most}), Meta(title=title)]
