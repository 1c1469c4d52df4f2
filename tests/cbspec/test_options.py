"""One table of options for all commands."""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.cli import COMMANDS, full_parser
from cbspec.errors import CommandError
from cbspec.options import RELAY, address_of, relay_profile
from cbspec.profile.profile import Endpoint
from cbspec.tokens.jwt import SigningKey, mint

Actions = list[tuple[str, argparse.Action]]
TOKEN = mint(SigningKey.hmac("secret" * 8), {"tenant_id": "tenant-009"})
NO_DEFAULT: tuple[object, ...] = (None, False, argparse.SUPPRESS, [], 0)


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from actions(inner)
        else:
            yield action


@pytest.fixture(scope="module")
def every() -> Actions:
    """Return each option and argument with its command."""
    (commands,) = (each for each in full_parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert list(commands.choices) == list(COMMANDS)
    return [(name, action) for name, parser in commands.choices.items() for action in actions(parser)]


def test_every_command_that_connects_names_the_relay_alike(every: Actions) -> None:
    of_command = defaultdict[str, dict[str, argparse.Action]](dict)
    for name, action in every:
        of_command[name] |= dict.fromkeys(action.option_strings or [action.dest], action)
    for name, lacks in (
        ("verify", ()),
        ("load", ()),
        ("connect", ()),
        ("tap", ("--token-file",)),  # the client has one
        ("replay", ("address",)),  # its arguments are files
    ):
        for row in RELAY:
            found = of_command[name].get(row.name)
            assert (found is None) == (row.name in lacks), (name, row.name)
            assert found is None or (found.metavar, found.type) == (
                row.settings()["metavar"],
                row.value and row.value.read,
            )


def test_an_option_has_one_placeholder_and_states_its_default(every: Actions) -> None:
    placeholders = defaultdict[str, set[object]](set)
    for name, action in every:
        for option in action.option_strings:
            placeholders[option].add(None if action.choices else action.metavar)
        text = str(action.help)
        assert not re.search("(can|may) be repeated", text), (name, text)
        assert action.nargs == 0 or action.choices or action.metavar, (name, action)
        if action.default not in NO_DEFAULT and action.option_strings:
            assert "(default: " in text, (name, action.option_strings)
    assert {option: found for option, found in placeholders.items() if len(found) > 1} == {}


def test_a_relay_that_is_named_twice_is_an_error() -> None:
    one, other = Endpoint("h", 1), Endpoint("h", 2)
    assert address_of(argparse.Namespace(address=one, target=one)) == one
    with pytest.raises(CommandError, match="--target h:2: the relay is named twice, the first time as h:1"):
        address_of(argparse.Namespace(address=one, target=other))


def test_the_ca_and_the_token_of_a_profile_are_replaced(tmp_path: Path) -> None:
    profile, token, ca = (tmp_path / name for name in ("profile.toml", "token", "ca.pem"))
    profile.write_text('[target]\naddress = "relay.example:1"\n[tls]\nca = "system"\n')
    token.write_text(f"{TOKEN}\n")
    ca.touch()
    found = relay_profile(None, profile, ca, token)
    assert (found.tls.ca, found.tokens.ready.valid) == (ca, TOKEN)
    profile.write_text(
        '[target]\naddress = "relay.example:1"\n[tokens]\nsecret = "a secret of thirty-two characters"\n'
    )
    with pytest.raises(CommandError, match="has a key, which mints the tokens"):
        relay_profile(None, profile, None, token)
