"""`cbspec learn-client`: learn the state machine of a client, judge it, and draw it."""

from __future__ import annotations

import argparse
import shlex
import time
from dataclasses import replace
from typing import Final

from cbspec.errors import CommandError
from cbspec.options import COUNT, FILE, NAME, SECONDS, TRANSPORT, Option, add_options
from cbspec.redact import redact
from cbspec_conformance.client.client_profile import (
    ClientProfile,
    ClientProfileError,
    load_client_profile,
    with_command,
)
from cbspec_conformance.client.command import placeholders_text
from cbspec_conformance.client.learning.answers import letters
from cbspec_conformance.client.learning.learner import ClientLearner
from cbspec_conformance.client.learning.queries import ClientQueries, ClientRuns
from cbspec_conformance.client.learning.report import LearnedClient, client_json, client_text
from cbspec_conformance.client.options import CLIENT_PROFILE
from cbspec_conformance.client.process import CannotStart
from cbspec_conformance.learning.command import LEARNING, OUTPUTS, write_files
from cbspec_conformance.learning.progress import LearningProgress
from cbspec_conformance.learning.queries import LearningStopped
from cbspec_conformance.machines.machine import load_machine

_PAUSE: Final = 3.0  # seconds

OWN: Final = (
    Option("--pause", "the client waits if it does nothing for this time", SECONDS, _PAUSE),
    Option("--words", "stop after so many runs of the client, and judge what is known", COUNT),
    Option("--jobs", "clients to run at once", COUNT, default_text="32, of which few are busy"),
    Option("--answer", "learn with this answer instead of the usual ones", NAME, repeatable=True),
    Option("--against", "compare with the machine of another client or an earlier release, from --save", FILE),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec learn-client`."""
    transport = replace(TRANSPORT, choices=("tcp", "websocket"), default_text="the profile's, or tcp")
    shared = [row for row in LEARNING if row.name == "--max-time"]
    answers = ", ".join(letters(silence=True))
    parser.epilog = f"answers: {answers}, and an error with any other code\n\n{placeholders_text()}"
    add_options(parser.add_argument_group("the client"), [CLIENT_PROFILE, transport])
    add_options(parser.add_argument_group("learning"), [*OWN, *shared])
    add_options(parser.add_argument_group("results"), [*OUTPUTS, Option("--json", "print the result as JSON")])
    parser.add_argument("client", nargs="*", metavar="-- COMMAND", help="the client's command, with placeholders")


def run(args: argparse.Namespace) -> int:
    """Learn a client and print the report; return the exit code."""
    earlier = None if args.against is None else load_machine(args.against)
    try:
        profile = load_client_profile(args.client_profile) if args.client_profile else ClientProfile()
        learning = _Learning(with_command(profile, args.client), args)
    except ClientProfileError as error:
        raise CommandError(str(error)) from None
    learned = replace(learning.learn(), earlier=earlier)
    write_files(args, learned.machine, learned.differences)
    print(client_json(learned) if args.json else client_text(learned))
    return learned.exit_code


class _Learning:
    """The learning of one client."""

    def __init__(self, profile: ClientProfile, args: argparse.Namespace) -> None:
        self._began = time.monotonic()
        self._client = redact(shlex.join(profile.command))
        self._transport = args.transport or profile.transport
        declares = profile.answer_timeout is not None
        try:
            chosen = letters(args.answer, silence=declares)
        except KeyError as error:
            raise CommandError(f"--answer: there is no {error}; cbspec learn-client --help lists them") from None
        self._progress = LearningProgress()
        self._queries: ClientQueries = ClientQueries(
            ClientRuns(replace(profile, transport=self._transport), self._transport, args.pause, args.jobs),
            chosen,
            time,
            words=args.words,
            end=None if args.max_time is None else self._began + args.max_time,
            tell=lambda: self._progress.show(self._queries),
        )
        self._learner = ClientLearner(self._queries, self._progress, declares=declares)

    def learn(self) -> LearnedClient:
        """Learn the client, and judge it. Raises CommandError if it can't be started."""
        queries, machine, stopped, exchange = self._queries, None, "", ""
        try:
            with queries:
                machine, differences = self._learner.machine()
                machine = replace(machine, origin=self._client)
                if differences:
                    exchange = queries.exchange(differences[0].word)
        except LearningStopped as error:
            machine, stopped, differences = None, str(error), self._learner.in_words()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        finally:
            self._progress.clear()
        return LearnedClient(
            machine,
            stopped,
            differences,
            queries.made,
            queries.steps,
            time.monotonic() - self._began,
            client=self._client,
            transport=self._transport,
            findings=queries.findings,
            left_out=self._learner.left_out,
            exchange=exchange,
            so_far=self._learner.so_far,
        )
