"""Source: Message Types: sequences of messages, each answer judged by the state of its connection.

`sequences.toml` has the shortest sequences on which relays with a known mistake differ from the state table. `cbspec
learn` finds them, and `python -m tests.adequacy.sequences` writes them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.learning.alphabet import Alphabet, WordPlayer
from cbspec_conformance.learning.conduct import Conduct, Standing
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.record.conclusions import Breach, Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.refusals import seen
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest

KNOWN: Final[Mapping[str, Mapping[str, list[str]]]] = tomllib.loads(
    Path(__file__).with_name("sequences.toml").read_text(encoding="utf-8")
)
_STARTS: Final[tuple[list[str], ...]] = ([], ["hello"], ["hello", "auth A"], ["hello", "auth B"])
_TELLING: Final = ("tunnel A", "tunnel B", "heartbeat", "unknown type", "tunnel to port 0")
_MOST_TUNNELS: Final = 3  # of one connection: a relay may have limits that the profile lacks
_ANY_REFUSAL: Final = ("CB-HEL-005", "CB-HEL-007", "CB-MSG-007")


@requirements(
    *("CB-HEL-007", "CB-AUT-001", "CB-AUT-005", "CB-AUT-008", "CB-AUT-016", "CB-TUN-001", "CB-TUN-003", "CB-TUN-004"),
    *("CB-TUN-010", "CB-HBT-001", "CB-UNK-001", "CB-TEN-003", "CB-TEN-006"),
)
def test_known_sequences(relay: RelayUnderTest, identifier: str) -> None:
    """Send the sequences on which relays with a known mistake differ from the state table; judge each answer.

    A sequence ends at the breach of another requirement, which its own cases show.
    """
    table, ended = _Table(relay), dict[str, str]()

    def check(word: list[str]) -> None:
        walk = _Walk(relay, table)
        for name in word:
            if (breach := walk.send(name)) == identifier:
                walk.blame(breach)
            elif breach and find(breach).level is Level.MUST:
                ended["; ".join(word)] = f"{name} drew {walk.output} (see {breach})"
                return

    words = KNOWN.get(identifier, {}).values()
    alphabet = table.alphabet
    possible = {"; ".join(word): word for word in words if {*word} <= {*alphabet.names}}
    if not possible:
        raise NotExercised("; ".join(f"{names}: {why}" for names, why in alphabet.left_out.items()))
    each(possible, check, together=relay.room.together)
    relay.room.close_sessions()
    if len(ended) == len(possible):
        raise NotExercised(next(iter(ended.values())))


@requirement("CB-TUN-003")
def test_any_sequence(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Send messages in any order, on one connection or on several in turn, and judge each answer by the state."""
    table = _Table(relay)
    names = [name for name in table.alphabet.names if name != "KeyUpdate"]

    def broken(word: Sequence[str]) -> tuple[str, _Walk]:
        relay.room.close_sessions()
        walk = _Walk(relay, table)
        return next(filter(None, map(walk.send, word)), ""), walk

    def check(word: list[str]) -> None:
        word = [*word, *(name for name in _TELLING if name in names)]
        breach, walk = broken(word)
        if breach == "CB-AUT-016":  # the refused auth may not matter
            other, without = broken([name for name in word if not name.startswith("auth")])
            breach, walk = (other, without) if other == "CB-TUN-003" else (breach, walk)
        if breach:
            walk.blame(breach)

    words = st.lists(st.sampled_from(names), min_size=explorer.steps // 2, max_size=explorer.steps)
    starts = [each for each in _STARTS if {*each} <= {*names}]
    explorer.explore(st.builds(list[str].__add__, st.sampled_from(starts), words), check)


class _Table:
    """The inputs of a case, and what the specification says of them."""

    def __init__(self, relay: RelayUnderTest) -> None:
        self.alphabet = Alphabet(relay)
        self.conduct = Conduct(self.alphabet, tenancy=relay.needs.offers_tenancy)
        self.machine = reference(self.alphabet)


class _Walk:
    """A sequence of inputs to a relay and what is known of its connection. `output` is the last output."""

    def __init__(self, relay: RelayUnderTest, table: _Table) -> None:
        relay.needs.served("hello")
        relay.needs.served("auth")
        for tenant in table.alphabet.tenants.values():
            relay.room.use(tenant, connections=1)
        self.output = ""
        self._relay = relay
        self._player = WordPlayer(relay, table.alphabet)
        self._standing = Standing()
        self._table = table
        self._place = 0
        self._expected = ""
        self._tunnels = 0

    def send(self, name: str) -> str:
        """Send an input, and return the requirement that the answer breaks, or ""; too many tunnels are left out.

        Raises Inconclusive for an answer that says nothing.
        """
        if name.startswith("tunnel") and self._tunnels >= _MOST_TUNNELS:
            return ""
        self._expected, self._place = self._table.machine.edges[self._place, name]
        self.output = self._player.send(self._table.alphabet.letters[name])
        if (exchange := self._player.exchanges[-1]) is not None:
            self._check(exchange, malformed=name == "malformed")
        breach, self._standing = self._table.conduct.judge(self._standing, name, self.output)
        served = self.output == "tunnel_response"
        self._tunnels = 0 if name in ("reconnect", "resume") else self._tunnels + served
        return "" if exchange is None else breach  # other cases judge a connection that ends after an answer

    @staticmethod
    def _check(exchange: Exchange, *, malformed: bool) -> None:
        answer = exchange.answer
        if answer is None:
            if exchange.silence is Silence.UNRESPONSIVE and not exchange.relay_alive:
                raise Inconclusive(f"{judge.silence(exchange)}, and no new connection was answered either")
        elif answer.decoded.requirement:
            raise Inconclusive(f"the answer can't be read (see {answer.decoded.requirement}): {answer.decoded.fault}")
        elif not malformed and (code := judge.error_code(exchange)) in judge.OUT_OF_ROOM:
            raise judge.no_room(code)
        else:
            judge.legible(answer)

    def blame(self, breach: str) -> None:
        """Raise Broken for the last answer; the breach of a SHOULD by another case's requirement is only logged."""
        exchange = self._player.exchanges[-1]
        assert exchange is not None  # a new connection breaks no requirement
        try:
            self._judge(exchange, breach)
        except Broken as broken:
            if breach != self._relay.log.requirement and find(breach).level is not Level.MUST:
                self._relay.log.breach(Breach(breach, broken.expected, broken.seen), exchange)
                return
            broken.requirement = breach
            raise

    def _judge(self, exchange: Exchange, breach: str) -> None:
        """Raise Broken, with the judgement as data if that is possible."""
        if breach in _ANY_REFUSAL:
            judge.refused(exchange)
        elif self._expected.startswith("error "):
            judge.not_accepted(exchange)
            judge.refused_with(exchange, self._expected.removeprefix("error "))
        else:
            judge.accepted(exchange)
        raise Broken(self._expected, seen(exchange), exchange)
