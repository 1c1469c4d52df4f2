"""The options that several commands have: their names, placeholders, defaults and help texts, in one table.

A command adds rows to its parser with `add_options`. pytest's plugins register the same rows.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from cbspec import keylog
from cbspec.errors import CommandError
from cbspec.profile.target import Endpoint, Profile

ChosenCA = Path | Literal["development", "system"]


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of option value: its placeholder, and the function that reads it (it raises ArgumentTypeError)."""

    metavar: str
    read: Callable[[str], Any] = str


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


def _ca(text: str) -> ChosenCA:
    match text:
        case "development" | "system":
            return text
        case _:
            return Path(text)


ADDRESS: Final = ValueKind("HOST:PORT", _endpoint)
FILE: Final = ValueKind("FILE", Path)
CA: Final = ValueKind("FILE", _ca)
FOLDER: Final = ValueKind("FOLDER", Path)
SECONDS: Final = ValueKind("SECONDS", _seconds)
COUNT: Final = ValueKind("N", _count)
ID: Final = ValueKind("ID")
NAME: Final = ValueKind("NAME")


class OptionContainer(Protocol):
    """A parser of argparse, or a group of it."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:  # noqa: ANN401 - argparse's own
        """Add an option."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command, or a positional argument if `name` has no dash.

    `value` None makes a flag. `default` is the value of an absent option, and `default_text` states it in the help text
    if the value itself doesn't. `without` is the value of an option that is given without one. `short` are other
    spellings. `in_pytest` is the option's name in pytest if a widespread plugin of pytest uses the usual one.
    """

    name: str
    help: str
    value: ValueKind | None = None
    default: Any = None
    default_text: str = ""
    choices: Sequence[str] = ()
    repeatable: bool = False
    without: Any = None
    short: tuple[str, ...] = ()
    in_pytest: str = ""

    @property
    def dest(self) -> str:
        """The attribute of argparse's result."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def text(self) -> str:
        """The help text, with the default."""
        stated = self.default_text or ("" if self.default is None else f"{self.default}".removesuffix(".0"))
        more = ["repeatable"] * self.repeatable + ([f"default: {stated}"] if stated else [])
        return f"{self.help} ({'; '.join(more)})" if more else self.help

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `add_argument`."""
        if self.value is None and not self.choices:
            return {"action": "store_true", "help": self.text}
        made: dict[str, Any] = {"help": self.text, "default": self.default}
        if self.choices:
            made["choices"] = tuple(self.choices)
        if self.value is not None:
            made |= {"metavar": self.value.metavar, "type": self.value.read}
        if self.repeatable:
            made |= {"action": "append", "default": []}
        if self.without is not None or not self.name.startswith("-"):
            made |= {"nargs": "?"} | ({"const": self.without} if self.without is not None else {})
        return made

    def words(self, value: object) -> list[str]:
        """Return the words of a command line that give the option this value, in pytest's spelling."""
        if value is None or value is False or value == self.default:
            return []
        name = self.in_pytest or self.name
        if value is True:
            return [name]
        return [f"{name}={each}" for each in (value if isinstance(value, list) else [value])]


def add_options(container: OptionContainer, rows: Iterable[Option]) -> None:
    """Add options to a parser or a group of it."""
    for row in rows:
        container.add_argument(*row.short, row.name, **row.settings())


TARGET: Final = Option("--target", "the same as HOST:PORT", ADDRESS)
"""The relay's address, as an option."""

RELAY: Final = (
    Option("address", "address of the relay", ADDRESS, default_text="the profile's"),
    TARGET,
    Option(
        "--profile",
        "profile of the relay: its address, CA, tokens, tenants and limits (TOML)",
        FILE,
        in_pytest="--target-profile",  # pytest-profiling has --profile
    ),
    Option(
        "--ca",
        "CA of the relay: a PEM file, development or system",
        CA,
        default_text="the profile's, development on loopback, or system",
    ),
    Option("--token-file", "file with a valid token, if the relay's key is not known", FILE),
)
"""The options of every command that connects to a relay."""

TRANSPORT: Final = Option(
    "--transport", "transport of the messages", choices=("auto", "tcp", "websocket"), default_text="the profile's"
)
WAIT: Final = Option("--wait", "wait for the relay to start", SECONDS, default=0.0)
KEY_LOG: Final = Option(
    "--keylog",
    "append the secrets of TLS sessions to this file, for Wireshark",
    FILE,
    default_text=f"${keylog.VARIABLE}",
)
FAIL_ON: Final = Option("--fail-on", "lowest level that fails the run", choices=("must", "should"), default="must")


def address_of(args: argparse.Namespace) -> Endpoint | None:
    """Return the relay's address, given as an argument or by --target. Raises CommandError if both name one."""
    positional: Endpoint | None = args.address
    named: Endpoint | None = args.target
    if positional is not None and named is not None and positional != named:
        raise CommandError(f"--target {named}: the relay is named twice, the first time as {positional}; omit one")
    return positional or named


def relay_profile(
    address: Endpoint | None, file: Path | None = None, ca: ChosenCA | None = None, token_file: Path | None = None
) -> Profile:
    """Return the completed profile of the relay that the options in `RELAY` name.

    Raises ProfileError if the profile is invalid or no relay is named, CommandError for an unusable token.
    """
    from cbspec.profile.profile import load, resolve

    profile = load(file) if file is not None else None
    return resolve(with_trust(profile, ca, token_file), address)


def with_trust(profile: Profile | None, ca: ChosenCA | None, token_file: Path | None) -> Profile | None:
    """Return a profile with the CA and the token of --ca and --token-file. Raises CommandError."""
    if ca is None and token_file is None:
        return profile
    made = profile or Profile()
    if ca is not None:
        if isinstance(ca, Path) and not ca.is_file():
            raise CommandError(f"--ca: {ca}: No such file; give a PEM file, development or system")
        made = replace(made, tls=replace(made.tls, ca=ca))
    if token_file is not None:
        if made.tokens.has_key:
            raise CommandError(f"--token-file: {made.path} has a key, which mints the tokens; omit one of them")
        ready = replace(made.tokens.ready, valid=read_token(token_file))
        made = replace(made, tokens=replace(made.tokens, ready=ready))
    return made


def read_token(file: Path) -> str:
    """Return the token in a file. Raises CommandError, without the file's content."""
    try:
        return checked_token(file.read_text("utf-8"), str(file))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not a text file, so it contains no token") from None


def checked_token(text: str, source: str) -> str:
    """Return the token in a text from `source`. Raises CommandError: a wrong file, such as a key, must not be sent."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError(f"{source} contains no token: a token is one word of ASCII characters")
    return token


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the placeholders replaced; other braces, as in JSON or shell code, are left alone."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def unknown_placeholder(text: str, known: Iterable[str]) -> str:
    """Return the error for a word that is an unknown placeholder, most likely a typing error, or ""."""
    name = text[1:-1]
    if text.startswith("{") and text.endswith("}") and name.isidentifier() and name not in known:
        return f"unknown placeholder {text}; there are {', '.join(f'{{{each}}}' for each in known)}"
    return ""
