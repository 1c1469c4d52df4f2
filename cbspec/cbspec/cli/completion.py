"""`cbspec completion`: print the script that completes commands and options in a shell."""

from __future__ import annotations

import argparse

import shtab

from cbspec.cli import full_parser

_FILES = {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `cbspec completion`."""
    parser.epilog = "in ~/.bashrc: source <(cbspec completion bash)\nin ~/.zshrc:  source <(cbspec completion zsh)"
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="shell of the script")


def run(args: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    parser = full_parser()
    _complete_files(parser)
    print(shtab.complete(parser, args.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner)
        elif action.metavar in _FILES:
            vars(action)["complete"] = _FILES[action.metavar]
