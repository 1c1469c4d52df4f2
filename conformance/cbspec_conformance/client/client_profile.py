"""The client profile: what the judge can't learn about a client by itself (TOML)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cbspec.documents import Count, DocumentError, DocumentReader, Seconds, Text, load_toml, says
from cbspec.options import filled as filled
from cbspec.options import unknown_placeholder

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "host": "the relay's address",
    "port": "the relay's port",
    "ca": "the PEM file of the CA to trust",
    "token": "a valid token",
    "token_file": "a file with the token",
    "tenant": "the token's tenant",
    "local_port": "a free local port for the client's tunnel",
    "transport": "tcp or websocket",
    "url": "the relay's address as a URL: wss://host:port/",
    "secret": "the secret of the tokens (HS256), for a client that verifies them itself",
    "situation": "the situation's name",
    "folder": "an empty folder for the client's files; the templates of `files` are written to it",
}
"""What the command, the environment and the templates may contain in braces."""


class ClientProfileError(Exception):
    """The client profile, or a client's command, can't be used; each line of the text names one mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProfile:
    """What the judge has to know about a client, and what it should expect of it; every key is optional.

    All times are in seconds.
    """

    command: Annotated[tuple[Text, ...], says("the command and its arguments, with placeholders")] = ()
    environment: Annotated[dict[str, str], says("additional environment variables, with placeholders")] = field(
        default_factory=dict
    )
    files: Annotated[
        dict[str, Path], says("configuration files of the client: the name in {folder}, and the template's path")
    ] = field(default_factory=dict)
    working_directory: Annotated[Path | None, says("the folder in which the command is run")] = None
    transport: Annotated[Literal["tcp", "websocket"], says("the transport that the client uses")] = "tcp"
    secret: Annotated[Text | None, says("the secret of the tokens, if the client insists on one")] = field(
        default=None, repr=False
    )
    tenant: Annotated[Text, says("the tenant of the client's token")] = "tenant-001"
    subject: Annotated[Text, says("the subject of the client's token")] = "client-under-test"
    up: Annotated[Text | None, says("a regular expression for the line with which the client reports to be up")] = None
    start_time: Annotated[Seconds, says("how long the client may take from its start to its hello")] = 15.0
    stop_time: Annotated[Seconds, says("how long the client may take to end after SIGTERM")] = 5.0
    answer_timeout: Annotated[Seconds | None, says("how long the client waits for an answer")] = None
    heartbeat_interval: Annotated[Seconds | None, says("the interval of the client's heartbeats")] = None
    heartbeat_failures: Annotated[Count, says("after how many unanswered heartbeats the link counts as down")] = 3
    reconnect_delay: Annotated[
        Seconds | None, says("the longest delay before the client's first attempt to connect again")
    ] = None
    ports: Annotated[tuple[int, ...], says("local ports on which the client listens while its tunnels are open")] = ()
    tunnels: Annotated[int | None, says("the number of tunnels that the client opens")] = None
    one_at_a_time: Annotated[bool, says("whether only one instance of the client can run at a time")] = False


def load_client_profile(path: Path) -> ClientProfile:
    """Return the profile in a TOML file. Raises ClientProfileError."""
    try:
        read: ClientProfile = DocumentReader(path.parent).read(load_toml(path), ClientProfile)
    except DocumentError as error:
        raise ClientProfileError("\n".join(f"{path}: {each}" for each in error.problems)) from None
    return replace(read, files={name: path.parent / file for name, file in read.files.items()})


def with_command(profile: ClientProfile, command: Sequence[str]) -> ClientProfile:
    """Return the profile with a command, by default its own. Raises ClientProfileError if it can't be used."""
    words = tuple(command) or profile.command
    if not words:
        raise ClientProfileError("no client: give its command after --, or the key command in --client-profile FILE")
    texts = [*words, *profile.environment.values()]
    for text in texts:
        _checked(text)
    templates = [path for path in profile.files.values() if not path.is_file()]
    if templates:
        raise ClientProfileError(f"files: {templates[0]} doesn't exist")
    return replace(profile, command=words)


def split_command(text: str) -> tuple[str, ...]:
    """Return the words of a command line. Raises ClientProfileError if a quote isn't closed."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ClientProfileError(f"--client: {error} in {text!r:.80}") from None


def _checked(text: str) -> None:
    if reason := unknown_placeholder(text, PLACEHOLDERS):
        raise ClientProfileError(reason)


def values_of(**given: Any) -> dict[str, str]:  # noqa: ANN401 - whatever a placeholder stands for
    """Return the values of all placeholders as text."""
    return {name: str(given[name]) for name in PLACEHOLDERS}
