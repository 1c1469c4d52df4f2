"""`cbspec learn`: learn the state machine of a relay, compare it with the specification, and draw it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from cbspec.catalogue.requirements import Level
from cbspec.errors import CommandError, NothingToJudge
from cbspec.options import (
    COUNT,
    FILE,
    ID,
    RELAY,
    SECONDS,
    TRANSPORT,
    WAIT,
    Option,
    add_options,
    address_of,
    relay_profile,
)
from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.learning.alphabet import CLOSED, Alphabet
from cbspec_conformance.learning.answers import AnswerFile
from cbspec_conformance.learning.comparison import Difference, compare, judge_words
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.learning.drawing import as_svg
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.machine import Machine, as_data, distinctions, load_machine
from cbspec_conformance.learning.naming import with_names
from cbspec_conformance.learning.queries import Corrected, LearningStopped, NotDeterministic, Queries
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.learning.report import LearnedRelay, as_json, as_text
from cbspec_conformance.learning.silences import Silences
from cbspec_conformance.learning.sketch import as_dot, as_mermaid
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts

_JOBS: Final = 8
_WAITING: Final = 32  # words at once if answers are missing
_PROGRESS: Final = 1.0  # seconds between two updates

LEARNING: Final = (
    Option("--max-time", "stop after this time, and judge what is known", SECONDS, default_text="no limit"),
    Option("--jobs", "words that are asked at once", COUNT, default_text=f"{_JOBS}; 1 with limits of tenants"),
    Option("--tenant", "tenant A of the words", ID, default_text="the profile's first without limits"),
    Option("--cache", "keep the relay's answers for the next run, which asks few of them again", FILE),
    Option("--against", "compare with the machine of another relay or an earlier release, from --save", FILE),
)
OUTPUTS: Final = (
    Option("--save", "write the machine as JSON, for --against", FILE),
    Option("--mermaid", "write the machine as a Mermaid diagram", FILE),
    Option("--dot", "write the machine in the language of Graphviz", FILE),
    Option("--svg", "write the machine as a picture", FILE),
    Option("--json", "print the result as JSON"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec learn`."""
    relay = [row for row in RELAY if row.name != "--token-file"]  # a single token makes no alphabet
    add_options(parser.add_argument_group("the relay"), [*relay, TRANSPORT, WAIT])
    add_options(parser.add_argument_group("learning"), LEARNING)
    add_options(parser.add_argument_group("results"), OUTPUTS)


def run(args: argparse.Namespace) -> int:
    """Learn a relay and print the report; return the exit code."""
    earlier = None if args.against is None else load_machine(args.against)
    profile = relay_profile(address_of(args), args.profile, args.ca)
    if args.transport is not None:
        profile = replace(profile, target=replace(profile.target, transport=args.transport))
    try:
        session = _Session(profile, args)
    except (NoTarget, NotExercised) as error:
        raise NothingToJudge(str(error)) from None
    learned = session.learn()
    if earlier is not None and learned.machine is not None:
        learned = replace(learned, earlier=earlier, changes=distinctions(learned.machine, earlier, CLOSED))
    _write(args, learned, session.known)
    if args.json:
        print(json.dumps(as_json(learned), indent=2))
    else:
        print(as_text(learned), end="")
    return learned.exit_code


def _write(args: argparse.Namespace, learned: LearnedRelay, known: Machine) -> None:
    """Write the files of the options. Raises OSError."""
    makers: dict[str, Callable[[Machine], str]] = {
        "save": lambda machine: json.dumps(as_data(machine), indent=1) + "\n",
        "mermaid": lambda machine: as_mermaid(machine, learned.differences),
        "dot": lambda machine: as_dot(machine, learned.differences),
        "svg": lambda machine: as_svg(machine, learned.differences, known),
    }
    for name, make in makers.items():
        file: Path | None = getattr(args, name)
        if file is not None and learned.machine is not None:
            file.write_text(make(learned.machine), "utf-8")
        elif file is not None:
            print(f"--{name}: {file} is not written, because the machine is not known", file=sys.stderr)


class _Session:
    """The learning of one relay. Raises NoTarget if there is none, NotExercised if the profile lacks a tenant."""

    def __init__(self, profile: Profile, args: argparse.Namespace) -> None:
        self._began = time.monotonic()
        self._args = args
        facts = _examined(profile, args.wait)
        shared = SharedParts(profile, facts.latency, unanswered=facts.unanswered)
        self._facts = facts
        self._relay = str(profile.target.address)
        self._tenancy = RelayUnderTest(shared, facts, "learn").needs.offers_tenancy
        tenant = None if args.tenant is None else profile.tenant(args.tenant)
        if args.tenant is not None and tenant is None:
            raise CommandError(f"--tenant: the profile has no tenant {args.tenant}")
        self._alphabet = Alphabet(RelayUnderTest(shared, facts, "learn"), tenant)
        limited = any(each.tunnel_limit or each.connection_limit for each in self._alphabet.tenants.values())
        jobs = args.jobs or (1 if limited else _JOBS)
        if bound := profile.target.connections_at_once or profile.relay.connection_limit:
            jobs = max(1, min(jobs, bound // 2))
        self.known = reference(self._alphabet)
        self._stored = None if args.cache is None else AnswerFile(args.cache, self._about(profile))
        self._states, self._told = 1, 0.0
        self._queries = Queries(
            lambda: RelayUnderTest(shared, facts, "learn"),
            self._alphabet,
            shared.clock,
            jobs=jobs,
            end=None if args.max_time is None else shared.clock.monotonic() + args.max_time,
            tell=self._tell,
            waiting=jobs if bound else _WAITING,
            patient=limited,
            silences=Silences(facts.latency.slowest),
        )

    def learn(self) -> LearnedRelay:
        """Learn the relay, and compare it with the specification."""
        queries, conduct = self._queries, Conduct(self._alphabet, tenancy=self._tenancy)
        machine, stopped, exchange = None, "", ""
        try:
            machine, differences = self._confirmed(conduct)
            if differences and differences[0].level is not Level.INFO:
                exchange = queries.exchange(differences[0].word)
        except LearningStopped as error:
            machine, stopped = None, str(error)
            odd = error.word if isinstance(error, NotDeterministic) else ()
            differences = [each for each in judge_words(queries.answers.observed(), conduct) if each.word != odd]
        finally:
            self._clear()
        self._keep(machine)
        return LearnedRelay(
            self._relay,
            self._facts.transport,
            machine,
            stopped,
            differences,
            queries.findings,
            self._alphabet.left_out,
            queries.made,
            queries.steps,
            time.monotonic() - self._began,
            exchange,
        )

    def _confirmed(self, conduct: Conduct) -> tuple[Machine, list[Difference]]:
        """Return the machine and its differences, each of which was seen twice. Raises LearningStopped."""
        while True:
            machine = learn(self._queries, self.known, self._propose, stored=self._stored)
            found = replace(machine, origin=self._relay)
            differences = compare(found, self.known, conduct)
            try:
                for each in differences:
                    self._queries.confirm(each.word, each.outputs)
            except Corrected:
                continue
            return with_names(found, self.known), differences

    def _about(self, profile: Profile) -> dict[str, object]:
        """Return the facts on which the answers of the relay depend."""
        tenants = self._alphabet.tenants.items()
        return {
            "relay": self._relay,
            "transport": self._facts.transport,
            "multi_tenancy": self._tenancy,
            "remote": str(profile.remote.reachable),
            "inputs": self._alphabet.names,
            "tenants": {name: [each.id, each.tunnel_limit, each.connection_limit] for name, each in tenants},
        }

    def _keep(self, machine: Machine | None) -> None:
        """Write the file of --cache, except for a relay that is not deterministic."""
        if self._stored is None:
            return
        if self._stored.unused:
            print(f"--cache: the answers in {self._args.cache} are not used: {self._stored.unused}", file=sys.stderr)
        if not self._queries.blips or machine is not None:
            self._stored.write(self._queries.answers, machine)

    def _propose(self, machine: Machine) -> None:
        self._states = len(machine.states)

    def _tell(self) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._told > _PROGRESS:
            self._told = now
            print(
                f"\r{self._states} states, {self._queries.made} queries, {now - self._began:.0f} s ",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def _clear(self) -> None:
        if self._told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _examined(profile: Profile, wait: float) -> Facts:
    """Return the preflight's results. Raises NoTarget, also if the relay serves no hello or no auth."""
    target = RelayUnderTest(SharedParts(profile), Facts(), "learn")
    try:
        wait_for(target, wait)
        facts = examine(target)
    finally:
        target.close()
    if reason := facts.tls or (facts.rejected and facts.auth):
        raise NoTarget(f"nothing to learn: {reason}")
    return facts
