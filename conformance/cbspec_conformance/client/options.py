"""The options of a run that judges a client, on pytest's command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pytest

from cbspec.options import FILE, NAME, Option, ValueKind
from cbspec_conformance.client.client_profile import (
    ClientProfile,
    ClientProfileError,
    load_client_profile,
    split_command,
    with_command,
)
from cbspec_conformance.client.situations import SITUATIONS, Situation, situations
from cbspec_conformance.runner.options import Options, register


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The options about the client; `common` are those that runs for relays have, too."""

    common: Options
    profile: ClientProfile
    chosen: tuple[Situation, ...]
    transport: str
    quick: bool
    narrowed: bool


CLIENT: Final = Option(
    "--client", "client to judge: its command line, with placeholders such as {host} {port}", ValueKind("COMMAND")
)
CLIENT_PROFILE: Final = Option("--client-profile", "profile of the client: command, time-outs, files (TOML)", FILE)
SITUATION: Final = Option("--situation", "run this situation alone", NAME, repeatable=True)


def add_client_options(parser: pytest.Parser) -> None:
    """Register the options with pytest."""
    register(parser, "cbspec client", (CLIENT, CLIENT_PROFILE, SITUATION))


def judges_client(config: pytest.Config) -> bool:
    """Whether the options name a client."""
    return config.getoption("--client") is not None or config.getoption("--client-profile") is not None


def read_client_options(config: pytest.Config, common: Options) -> ClientOptions:
    """Return the options. Raises pytest.UsageError if one is invalid."""
    try:
        file = config.getoption("--client-profile")
        profile = load_client_profile(Path(file)) if file else ClientProfile()
        profile = with_command(profile, split_command(config.getoption("--client") or ""))
    except ClientProfileError as error:
        raise pytest.UsageError(str(error)) from None
    for option, value, instead in (
        ("--target", common.target, "names a relay: give it or --client"),
        ("--profile", common.profile_file, "is the profile of a relay: --client-profile is that of a client"),
        ("--failures", common.failures, "is for relays: --results FILE records what a client did"),
    ):
        if value is not None:
            raise pytest.UsageError(f"{option} {instead}")
    transport = {None: profile.transport, "auto": profile.transport}.get(common.transport, str(common.transport))
    quick = common.plan.effort.name == "quick"
    named = config.getoption("--situation")
    chosen = _named(named, transport) if named else situations(transport, quick=quick)
    chosen = [situation for situation in chosen if situation.requirement in common.catalogue.requirements]
    return ClientOptions(
        common,
        replace(profile, transport="websocket" if transport == "websocket" else "tcp"),
        tuple(chosen),
        transport,
        quick and not named,
        bool(named),
    )


def left_out_of(options: ClientOptions) -> list[Situation]:
    """Return the situations that a quick run leaves out."""
    return [row for row in situations(options.transport, quick=False) if options.quick and row not in options.chosen]


def _named(names: list[str], transport: str) -> list[Situation]:
    found = []
    for name in names:
        situation = SITUATIONS.get(name)
        if situation is None:
            near = get_close_matches(name, SITUATIONS, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "cbspec verify-client --list shows them"
            raise pytest.UsageError(f"--situation: there is no {name!r}; {hint}")
        if situation.transport not in ("", transport):
            raise pytest.UsageError(f"--situation: {name} exists over {situation.transport} only: give --transport")
        found.append(situation)
    return found
