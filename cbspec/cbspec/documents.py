"""Read TOML documents into dataclasses and report every mistake at once.

The fields of a document's dataclass carry their constraints as `msgspec.Meta`. msgspec converts the values and stops at
the first error, so this module converts a document key by key: each error names the full key path and the expected
value. Texts are never repeated in an error, because they may be secrets; the exceptions are words from a fixed choice
and texts with a parser of their own (`parsed`).
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta

from cbspec.errors import InputError

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

Place = tuple[str | int, ...]
Finish = Callable[[Any, Place, "DocumentReader"], object]
Convert = Callable[[Any, Place, "DocumentReader"], object]

INVALID: Final = object()
"""Takes the place of a value whose errors have been reported."""

_SECTION_DEPTH: Final = 2
_SHOWN_BELOW: Final = 1e300
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
    (object, "a date or time"),
)
_WANTED: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple: "an array",
    Path: "a string that is not empty",
    Mapping: "a table",
    object: "a string, number, boolean, array or table",
    Any: "any JSON value",
}


class DocumentError(ValueError, InputError):
    """A document can't be used; `problems` has a line for each mistake."""

    def __init__(self, problems: Iterable[str], source: str = "") -> None:
        self.problems = tuple(f"{source}: {problem}" if source else problem for problem in problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """Annotation of a value that a function converts; it reports errors to the reader and then returns `INVALID`."""

    convert: Convert
    schema: Mapping[str, Any] = field(default_factory=dict)


def parsed(parse: Callable[[str], object]) -> Converted:
    """Return the annotation of a text that is parsed; `parse` raises ValueError with the reason."""

    def convert(value: object, place: Place, reader: DocumentReader) -> object:
        if not isinstance(value, str):
            return reader.reject(value, str, (), place)
        with reader.blaming(place):
            return parse(value)
        return INVALID

    return Converted(convert, {"type": "string", "minLength": 1})


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A table that names the source of a text: an environment variable or a file."""

    env: Text | None = None
    file: Text | None = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError('must have one key, { env = "NAME" } or { file = "PATH" }')


@dataclass(frozen=True, slots=True)
class Sourced:
    """Annotation of a text that a document can replace by a `SecretSource` table."""


def says(description: str, *examples: object, **constraints: Any) -> Meta:  # noqa: ANN401 - msgspec's constraints
    """Return the annotation of a key: its description, examples of its value and constraints."""
    return Meta(description=description, examples=list(examples) or None, **constraints)


def load_toml(path: Path) -> dict[str, Any]:
    """Return the data in a TOML file; raise DocumentError, with the file's name, if there are none."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problem = f"can't be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8, at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    except ValueError:
        problem = "has a number with too many digits"
    except RecursionError:
        problem = "is nested too deep"
    raise DocumentError([problem], str(path))


class DocumentReader:
    """Converts the data of one document.

    Paths in the document are relative to `base`. `finish` has, for a dataclass, the function that checks its instances
    and returns them or their replacement; it reports errors to the reader.
    """

    def __init__(self, base: Path, finish: Mapping[type, Finish] | None = None) -> None:
        self.base = base
        self._finish = {SecretSource: _source_text, **(finish or {})}
        self._homes: Mapping[str, str] = {}
        self._found: list[tuple[Place, str]] = []

    def read(self, data: object, document: Any) -> Any:  # noqa: ANN401 - any type and value
        """Return data as a value of the type `document`; raise DocumentError with every mistake."""
        self._homes, self._found = _homes(cast(Any, document)) if is_dataclass(document) else {}, []
        try:
            read = self.convert(data, document, ())
        except RecursionError:
            self.report((), "is nested too deep")
        if self._found:
            raise DocumentError(
                f"{write_place(place)}: {text}".removeprefix(": ") for place, text in dict.fromkeys(self._found)
            )
        return read

    def report(self, place: Place, problem: str) -> None:
        """Record an error of the value at `place`."""
        self._found.append((place, problem))

    @contextmanager
    def blaming(self, place: Place, path: Path | None = None) -> Iterator[None]:
        """Report exceptions as errors of the value at `place`, and of the file `path`."""
        file = f"{path}: " if path else ""
        try:
            yield
        except OSError as error:
            self.report(place, f"{file}can't be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self.report(place, f"{file}is not UTF-8")
        except ValueError as error:
            self.report(place, f"{file}{error}")

    def variable(self, place: Place, name: str) -> str | None:
        """Return the value of an environment variable; report it if missing or empty."""
        value = os.environ.get(name)
        if not value:
            self.report(place, f"the environment variable {name} is {'empty' if value == '' else 'not set'}")
        return value or None

    def text_file(self, place: Place, name: str) -> str | None:
        """Return the text in a file without line feeds at its end; report a file without text."""
        path = self.path(name)
        with self.blaming(place, path):
            text = path.read_text(encoding="utf-8").rstrip("\r\n")
            if not text:
                raise ValueError("is empty")
            return text
        return None

    def path(self, name: str) -> Path:
        """Return the absolute path of a file that the document names."""
        return (self.base / name).absolute()

    def _table(self, table: Mapping[str, Any], kind_: type, place: Place) -> object:
        known = {item.name: (item, hint) for item, hint in keys(kind_)}
        missing = [name for name, (item, _) in known.items() if _required(item) and name not in table]
        if missing:
            self.report(place, f"lacks {' and '.join(missing)}")
        values = {}
        for key, value in table.items():
            if key in known:
                values[key] = self.convert(value, known[key][1], (*place, key))
            else:
                self.report((*place, key), f"unknown key{self._hint(key, list(known), place, kind_)}")
        if missing or len(values) < len(table) or INVALID in values.values():
            return INVALID
        with self.blaming(place):
            made = kind_(**values)
            return self._finish[kind_](made, place, self) if kind_ in self._finish else made
        return INVALID

    def convert(self, value: Any, hint: Any, place: Place) -> Any:  # noqa: ANN401 - any type and value
        """Convert a value to a type; report errors and return `INVALID` if it is wrong."""
        wanted, metas = _split(hint, value)
        origin = typing.get_origin(wanted) or wanted
        if converters := [meta.convert for meta in metas if isinstance(meta, Converted)]:
            return converters[0](value, place, self)
        if origin in (object, Any):
            return self._json(value, place, wanted)
        if isinstance(value, Mapping) and any(isinstance(part, Sourced) for part in metas):
            origin = SecretSource
        if is_dataclass(origin) and isinstance(value, Mapping):
            return self._table(value, cast(type, origin), place)
        if origin is Mapping and isinstance(value, Mapping):
            inner = typing.get_args(wanted)[1]
            members = {key: self.convert(item, inner, (*place, key)) for key, item in value.items()}
            return INVALID if INVALID in members.values() or not self._unicode(value, place) else members
        if origin is tuple and isinstance(value, list) and (value or not _min_length(metas)):
            inner = typing.get_args(wanted)[0]
            items = tuple(self.convert(item, inner, (*place, index)) for index, item in enumerate(value))
            return INVALID if INVALID in items else items
        if origin in (bool, int, float, str, Path, Literal) or _is_enum(origin):
            return self._scalar(value, wanted, metas, place)
        return self.reject(value, wanted, metas, place)

    def _scalar(self, value: object, wanted: Any, metas: Sequence[object], place: Place) -> object:  # noqa: ANN401 - a type
        if wanted is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            made = msgspec.convert(value, Text if wanted is Path else _annotated(wanted, metas))
        except msgspec.ValidationError:
            return self.reject(value, wanted, metas, place)
        if isinstance(made, float) and not math.isfinite(made):
            self.report(place, f"must be a finite number, not {made}")
            return INVALID
        if isinstance(made, str) and not self._unicode([made], place):
            return INVALID
        return self.path(made) if wanted is Path else made

    def _json(self, value: object, place: Place, wanted: Any) -> object:  # noqa: ANN401 - a type
        match value:
            case dict():
                parts = [self._json(inner, (*place, key), wanted) for key, inner in value.items()]
            case list():
                parts = [self._json(inner, (*place, index), wanted) for index, inner in enumerate(value)]
            case float() if not math.isfinite(value):
                self.report(place, f"must be a finite number, not {value}")
                return INVALID
            case str() | bool() | int() | float():
                parts = []
            case None if wanted is Any:
                parts = []
            case _:
                return self.reject(value, wanted, (), place)
        texts = [value] if isinstance(value, str) else value if isinstance(value, dict) else ()
        return value if self._unicode(texts, place) and INVALID not in parts else INVALID

    def _unicode(self, texts: Iterable[str], place: Place) -> bool:
        """Report a text with a lone surrogate, which JSON can spell and UTF-8 can't encode."""
        if any(_SURROGATE.search(text) for text in texts):
            self.report(place, "must not contain half of a surrogate pair")
            return False
        return True

    def reject(self, value: object, wanted: Any, metas: Sequence[object], place: Place) -> object:  # noqa: ANN401 - a type
        """Report that a value isn't one of the wanted type; return `INVALID`."""
        self.report(place, f"must be {describe(_annotated(wanted, metas))}{_seen(value, wanted)}")
        return INVALID

    def _hint(self, key: str, known: Sequence[str], place: Place, kind_: type) -> str:
        if near := difflib.get_close_matches(key, known, n=1):
            return f"; did you mean {near[0]}?"
        if key in self._homes and len(place) < _SECTION_DEPTH:
            return f"; it belongs in [{self._homes[key]}]"
        if key in _homes(kind_):
            return f"; it belongs in {write_place((*place, _homes(kind_)[key]))}"
        return f"; known are {', '.join(known)}"


@cache
def keys(document: Any) -> tuple[tuple[Field[Any], Any], ...]:  # noqa: ANN401 - a dataclass
    """Return the keys of a document's table: the fields that take part in comparison, with their types."""
    hints = typing.get_type_hints(document, include_extras=True)
    return tuple((item, hints[item.name]) for item in fields(document) if item.compare)


def meta(hint: Any, name: str) -> Any:  # noqa: ANN401 - any type and value
    """Return an attribute of a type's last `msgspec.Meta` that has it, or None."""
    found = [getattr(part, name) for part in _split(hint)[1] if isinstance(part, Meta)]
    return next((value for value in reversed(found) if value is not None), None)


def plain_type(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return a type without its annotations and without None."""
    return _split(hint)[0]


def describe(hint: Any) -> str:  # noqa: ANN401 - any type
    """Describe the values of a type: `a whole number, 1 or more`."""
    if title := meta(hint, "title"):
        return str(title)
    wanted, metas = _split(hint)
    origin = typing.get_origin(wanted) or wanted
    if choices := _choices(wanted):
        return f"one of {', '.join(choices)}"
    words = "a table" if is_dataclass(origin) else _WANTED[origin]
    least, above, most = (meta(hint, name) for name in ("ge", "gt", "le"))
    if least is not None:
        return f"{words} from {least} to {most}" if most is not None else f"{words}, {least} or more"
    if above is not None:
        return f"{words}, more than {above}" + ("" if most is None else f" and at most {most}")
    return f"{words} that is not empty" if _min_length(metas) else words


def option_type(hint: Any) -> Callable[[str], Any]:  # noqa: ANN401 - a type
    """Return the argparse type of an option: a function that converts its text to a value of a type."""

    def convert(text: str) -> Any:  # noqa: ANN401 - a value of the type
        try:
            return msgspec.convert(text, hint, strict=False)
        except msgspec.ValidationError:
            raise argparse.ArgumentTypeError(f"must be {describe(hint)}, not {text!r:.60}") from None

    return convert


def json_schema(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - any type
    """Return the JSON Schema of a type's values; it doesn't cover `finish` and `__post_init__`."""
    made: dict[str, Any]
    wanted, metas = _split(hint)
    origin = typing.get_origin(wanted) or wanted
    if converters := [part for part in metas if isinstance(part, Converted)]:
        made = dict(converters[0].schema)
    elif wanted in (object, Any):
        made = {}
    elif choices := _choices(wanted):
        made = {"enum": list(choices)}
    elif wanted is Path:
        made = {"type": "string", "minLength": 1}
    elif is_dataclass(origin):
        members = keys(cast(type, origin))
        made = {"type": "object", "properties": {item.name: json_schema(inner) for item, inner in members}}
        required = [item.name for item, _ in members if _required(item)]
        made |= {"additionalProperties": False, **({"required": required} if required else {})}
    elif origin is tuple:
        made = {"type": "array", "items": json_schema(typing.get_args(wanted)[0])}
        made |= {"minItems": 1} if _min_length(metas) else {}
    elif origin is Mapping:
        made = {"type": "object", "additionalProperties": json_schema(typing.get_args(wanted)[1])}
    else:
        made = msgspec.json.schema(_annotated(wanted, metas))
        made.pop("title", None)
        if "pattern" in made:
            made["pattern"] = made["pattern"].replace(r"\Z", "$")  # in ECMAScript, $ matches at the very end only
    notes = {name: meta(hint, name) for name in ("description", "examples")}
    return {**made, **{name: value for name, value in notes.items() if value}}


def kind(value: object) -> str:
    """Name the kind of a TOML or JSON value."""
    return next(name for type_, name in _KINDS if isinstance(value, type_))


def write_key(key: str) -> str:
    """Return a key as TOML, bare if possible."""
    return key if _BARE_KEY.fullmatch(key) else write_text(key)


def write_text(text: str) -> str:
    """Return a string as TOML, which has JSON's escapes but forbids an unescaped DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_value(value: object) -> str:
    """Return a value as TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return write_text(value)
        case list():
            return f"[{', '.join(write_value(item) for item in value)}]"
        case dict():
            return f"{{ {', '.join(write_pairs(value))} }}" if value else "{}"
    return repr(value)


def write_pairs(table: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines of a table as TOML."""
    return (f"{write_key(key)} = {write_value(value)}" for key, value in table.items())


def write_place(place: Iterable[str | int]) -> str:
    """Return a key path: `tenants[0].id`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{write_key(step)}" for step in place)
    return text.removeprefix(".").encode(errors="backslashreplace").decode()


def _source_text(source: SecretSource, place: Place, reader: DocumentReader) -> object:
    if source.env is not None:
        return reader.variable((*place, "env"), source.env)
    return reader.text_file((*place, "file"), source.file or "")


def _split(hint: Any, value: object = MISSING) -> tuple[Any, tuple[object, ...]]:  # noqa: ANN401 - any type
    """Split a type from its annotations; of a union, take the alternative for a value, or else the first."""
    metas: tuple[object, ...] = ()
    while True:
        if typing.get_origin(hint) is Annotated:
            hint, metas = hint.__origin__, (*hint.__metadata__, *metas)
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = _alternative(typing.get_args(hint), value)
        else:
            return hint, metas


def _alternative(options: Sequence[Any], value: object) -> Any:  # noqa: ANN401 - a type
    options = [option for option in options if option is not type(None)]
    for option in options:
        if typing.get_origin(option) is Literal and value in typing.get_args(option):
            return option
        if is_dataclass(option) and isinstance(value, Mapping):
            return option
    return options[0]


def _is_enum(wanted: Any) -> bool:  # noqa: ANN401 - a type
    return isinstance(wanted, type) and issubclass(wanted, Enum)


def _choices(wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type
    """Return the words of a fixed choice, or none for another type."""
    if typing.get_origin(wanted) is Literal:
        return typing.get_args(wanted)
    return tuple(each.value for each in wanted) if _is_enum(wanted) else ()


def _annotated(wanted: Any, metas: Sequence[object]) -> Any:  # noqa: ANN401 - a type
    return Annotated[(wanted, *metas)] if metas else wanted


def _min_length(metas: Sequence[object]) -> bool:
    return any(isinstance(part, Meta) and part.min_length for part in metas)


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _seen(value: object, wanted: Any) -> str:  # noqa: ANN401 - a type
    """Describe a rejected value; only numbers and wrong choices are repeated."""
    if (choices := _choices(wanted)) and isinstance(value, str):
        near = difflib.get_close_matches(value, choices, n=1)
        return f", not {value!r}{f'; did you mean {near[0]}?' if near else ''}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in (int, float) and number and abs(cast(float, value)) < _SHOWN_BELOW:
        return f", not {value}"
    return "" if wanted in (str, Path) and isinstance(value, str) else f", not {kind(value)}"


@cache
def _homes(document: Any) -> dict[str, str]:  # noqa: ANN401 - a dataclass
    """Return the section in which each key belongs, the first if several have it."""
    homes: dict[str, str] = {}
    for section, hint in keys(document):
        table = _split(hint)[0]
        for item, _ in keys(cast(Any, table)) if is_dataclass(table) else ():
            homes.setdefault(item.name, section.name)
    return homes
