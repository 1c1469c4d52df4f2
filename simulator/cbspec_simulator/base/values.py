"""The types of values in configuration files and faults: each constrains a value and describes it in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from cbspec.documents import INVALID, Converted, Place
from cbspec.documents import DocumentReader as Reader

_MAX_PORT: Final = 65_535

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
