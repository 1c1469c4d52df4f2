"""Judges words and their outputs by the catalogue, step by step; what the specification leaves open is no breach.

The rules are those of `oracles.model`, for one connection. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.learning import alphabet as inputs
from cbspec_conformance.learning.alphabet import Alphabet, Letter
from cbspec_conformance.machines.machine import CLOSED, NO_ANSWER, Difference, Word
from cbspec_conformance.oracles.model import (
    ANYTHING,
    NOTHING,
    SUCCESS,
    Allowed,
    Ask,
    Model,
    ModelConnection,
    ModelLimits,
    ModelStep,
)
from cbspec_conformance.record.conclusions import Expectation, ExpectationKind

_SUCCESSES: Final = frozenset(SUCCESS.values())
_NEVER_SERVED: Final = ("CB-AUT-016", "CB-TUN-003", "CB-TEN-006")
_ANY: Final = (NO_ANSWER, *_SUCCESSES, *(f"error {code}" for code in ErrorCode))
_EARLY: Final = (ModelStep.NEW, ModelStep.UNGREETED_OPEN)
_OPEN: Final = {
    "hello": "CB-HEL-101",
    "hello 2.0": "CB-HEL-102",
    "hello without version": "CB-HEL-103",
    "tunnel, same id": "CB-TUN-102",
    "malformed": "CB-MSG-101",
}
"""The open point that each of these inputs is about in any state."""

_USUAL: Final[Mapping[Ask | None, str]] = {
    Ask.AUTH: "invalid_token",
    Ask.BAD_AUTH: "invalid_token",
    Ask.UNKNOWN: "unknown_message_type",
}
"""Codes by which an authenticated connection refuses a request: they say nothing about its identity."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a connection after some inputs.

    `step`, `tenant`, `tunnels` and `tried` are those of the model's connection; `accepted` are the tenants of accepted
    auths; `erred` says that the last answer was an error, after which a relay may close; `named` that a tunnel with the
    connection's own tunnel_id was opened, and `again` how often again, which a relay may count or not; `refused` counts
    refused tunnels; `over` says that the connection has ended.
    """

    step: ModelStep = ModelStep.NEW
    tenant: str = ""
    tunnels: int = 0
    tried: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    refused_auth: bool = False
    erred: bool = False
    named: bool = False
    again: int = 0
    refused: int = 0
    over: bool = False


class Conduct:
    """The rules for the relay of an alphabet; `tenancy` says whether it offers multi_tenancy."""

    def __init__(self, alphabet: Alphabet, *, tenancy: bool) -> None:
        tenants = alphabet.tenants.values()
        self._letters: Mapping[str, Letter] = alphabet.letters
        self._first = alphabet.tenants["A"].id
        self._listed = {each.id for each in tenants if each.allowed_addresses}
        self._most = max((each.tunnel_limit or 0 for each in tenants), default=0)
        self._limits = ModelLimits(
            {each.id: each.tunnel_limit for each in tenants},
            {each.id: each.connection_limit for each in tenants},
            tenancy=tenancy,
        )

    start: Final = Standing()

    def judge(self, standing: Standing, name: str, output: str) -> tuple[str, Standing]:
        """Return the requirement that an output breaks, or "", and the standing after it."""
        letter = self._letters[name]
        if letter in (inputs.RECONNECT, inputs.RESUME):
            return "", Standing()
        if standing.over or letter is inputs.KEY_UPDATE:
            return "", standing
        ask, letter = self._ask(standing, letter)
        over = output == CLOSED
        if over and standing.erred:
            return "", replace(standing, over=True)
        breach = self._breach(standing, letter, ask, output)
        return breach, replace(self._after(standing, letter, ask, output), over=over)

    def tried(self, words: Iterable[tuple[Word, Word]]) -> set[str]:
        """Return the requirements that other outputs in some words, given with their outputs, would have broken."""
        found, seen = set[str](), set[tuple[Standing, str]]()
        for word, outputs in words:
            standing = Standing()
            for letter, output in zip(word, outputs, strict=True):
                if (standing, letter) not in seen:
                    seen.add((standing, letter))
                    found |= {self.judge(standing, letter, each)[0] for each in _ANY}
                breach, standing = self.judge(standing, letter, output)
                if breach:
                    break
        return found - {""}

    def expectation(self, difference: Difference) -> Expectation:
        """Return the suite's expectation of the last exchange that a difference does not meet."""
        *before, (name, output) = zip(difference.word, difference.outputs, strict=True)
        standing = Standing()
        for earlier in before:
            _, standing = self.judge(standing, *earlier)
        ask, letter = self._ask(standing, self._letters[name])
        if ask is None:
            return Expectation(ExpectationKind.NOTICED if output == NO_ANSWER else ExpectationKind.NOT_ACCEPTED)
        if difference.requirement in ("CB-HEL-005", "CB-HEL-007"):
            return Expectation(ExpectationKind.REFUSED)
        allowed, code = self._allowed(standing, letter, ask), output.removeprefix("error ")
        if allowed.answers & _SUCCESSES:
            return Expectation(ExpectationKind.ACCEPTED, (code,) if code in OUT_OF_ROOM else ())
        if difference.requirement in _NEVER_SERVED or ANYTHING in allowed.answers:
            return Expectation(ExpectationKind.NOT_ACCEPTED)
        others = {each for each, blamed in allowed.blames.items() if blamed != difference.requirement}
        return Expectation(ExpectationKind.REFUSED_WITH, tuple(sorted({*allowed.answers, *others} - {NOTHING})))

    def open_point(self, standing: Standing, name: str) -> str:
        """Return the open point of the catalogue that an unusual output to an input shows, or ""."""
        ask, letter = self._ask(standing, self._letters[name])
        if self._may_refuse_address(standing, letter, ask):
            return "CB-ADR-101"
        if name in _OPEN and (standing.named or name != inputs.SAME_TUNNEL.name):
            return _OPEN[name]
        if standing.step in _EARLY:
            return "CB-HEL-104"
        if ask in (Ask.AUTH, Ask.BAD_AUTH):
            return "CB-AUT-102" if standing.tenant else "CB-AUT-103"
        if ask is None or standing.step not in (ModelStep.GREETED, ModelStep.GREETED_OPEN):
            return ""
        return {Ask.HEARTBEAT: "CB-HBT-101", Ask.UNKNOWN: "CB-UNK-102"}.get(ask, "")

    def _ask(self, standing: Standing, letter: Letter) -> tuple[Ask | None, Letter]:
        """Return the request that a letter is for this connection: a tunnel of another tenant is a foreign one."""
        own = standing.tenant or self._first
        if letter.ask is Ask.TUNNEL:
            letter = replace(letter, tenant=letter.tenant or own)
            foreign = standing.tenant and letter.tenant not in standing.accepted
            return (Ask.FOREIGN_TUNNEL if foreign else Ask.TUNNEL), letter
        return letter.ask, letter

    # ------------------------------------------------------------------ breaches

    def _breach(self, standing: Standing, letter: Letter, ask: Ask | None, output: str) -> str:
        if ask is None:
            return self._malformed(output)
        if ask is Ask.HELLO and letter is not inputs.HELLO_AGAIN:
            refused = output.startswith("error ") or output == CLOSED
            wrong = letter is inputs.BAD_HELLO and standing.step is ModelStep.NEW and not refused
            return letter.requirement if wrong else ""
        if ask is Ask.TUNNEL and letter.name == inputs.SAME_TUNNEL.name and standing.named:
            return ""
        code = output.removeprefix("error ")
        if code != output and code in OUT_OF_ROOM and code != "server_unavailable" and not self._most:
            return ""  # the relay may have a limit that the profile doesn't declare
        answer = NOTHING if output in (CLOSED, NO_ANSWER) else code
        if standing.step in _EARLY and output == NO_ANSWER and ask is not Ask.HELLO:
            return "CB-HEL-007"
        if self._dropped(standing, ask, code, is_error=code != output):
            return ""
        found = self._allowed(standing, letter, ask).breach(answer, is_error=code != output)
        if found and standing.again:
            more = replace(standing, tunnels=min(standing.tunnels + standing.again, self._most))
            found = self._allowed(more, letter, ask).breach(answer, is_error=code != output) and found
        return self._blamed(standing, letter, ask, output, found)

    @staticmethod
    def _malformed(output: str) -> str:
        if output in _SUCCESSES:
            return "CB-MSG-005"
        return "CB-MSG-007" if output == NO_ANSWER else ""

    @staticmethod
    def _dropped(standing: Standing, ask: Ask, code: str, *, is_error: bool) -> bool:
        """Whether a relay that dropped the identity with an error would answer so."""
        known = standing.step is ModelStep.AUTHENTICATED and standing.erred and is_error
        return known and (code == "invalid_token" or ask in (Ask.HEARTBEAT, Ask.UNKNOWN))

    def _allowed(self, standing: Standing, letter: Letter, ask: Ask) -> Allowed:
        model, connection = self._model(standing)
        found = model.allowed(connection, ask, letter.tenant)
        if letter.requirement in ("CB-TEN-002", "CB-TEN-003") and standing.step is ModelStep.GREETED:
            either = frozenset({"tenant_not_found"})
            return replace(found, answers=either, blame=letter.requirement, blames={"invalid_token": "CB-TEN-004"})
        if ask is Ask.FOREIGN_TUNNEL and standing.step is ModelStep.AUTHENTICATED and not self._limits.tenancy:
            return replace(found, answers=found.answers | {"tunnel_response"})
        if self._may_refuse_address(standing, letter, ask):
            return replace(found, answers=found.answers | {ErrorCode.IP_NOT_ALLOWED})
        return found

    def _may_refuse_address(self, standing: Standing, letter: Letter, ask: Ask | None) -> bool:
        """Whether the tenant's list of addresses may lack this client's; the step of the refusal is open."""
        known = standing.step in (ModelStep.GREETED, ModelStep.AUTHENTICATED)
        return known and ask in (Ask.AUTH, Ask.TUNNEL) and (standing.tenant or letter.tenant) in self._listed

    def _blamed(self, standing: Standing, letter: Letter, ask: Ask, output: str, found: str) -> str:
        """Return the more specific requirement for a breach of the model's."""
        if found == "CB-LIM-001" and standing.tunnels + standing.refused >= (
            self._limits.tunnels[standing.tenant] or 0
        ):
            return "CB-LIM-003"
        if found == "CB-TUN-003" and standing.refused_auth:
            return "CB-AUT-016"
        if found == "CB-AUT-008" and letter.requirement:
            return letter.requirement
        if found == "CB-HBT-001" and letter is inputs.SPLIT_BEAT:
            return letter.requirement
        if found == "CB-TEN-006" and ask is Ask.FOREIGN_TUNNEL and output not in _SUCCESSES:
            return "CB-TEN-007"
        return found

    # ------------------------------------------------------------------ the next standing

    def _model(self, standing: Standing) -> tuple[Model, ModelConnection]:
        model = Model(self._limits)
        connection = model.connect()
        connection.step, connection.tenant, connection.tunnels = standing.step, standing.tenant, standing.tunnels
        connection.tried = {*standing.tried}
        return model, connection

    def _after(self, standing: Standing, letter: Letter, ask: Ask | None, output: str) -> Standing:
        code = output.removeprefix("error ")
        erred = code != output
        dropped = ask is not None and self._dropped(standing, ask, code, is_error=erred)
        if dropped and code != _USUAL.get(ask):
            return replace(standing, step=ModelStep.OPEN, erred=True)
        model, connection = self._model(standing)
        answer = NOTHING if output in (CLOSED, NO_ANSWER) else code
        if ask is None:
            ask = Ask.UNKNOWN
        elif ask is Ask.HELLO and letter is not inputs.HELLO_AGAIN and output != SUCCESS.get(ask):
            ask = Ask.UNKNOWN  # a refused hello of another kind changes nothing that is known
        model.happened(connection, ask, answer, is_error=erred, tenant=letter.tenant)
        auth = ask in (Ask.AUTH, Ask.BAD_AUTH)
        served = output == SUCCESS.get(ask)
        own = letter.name == inputs.SAME_TUNNEL.name and served
        again = own and standing.named
        return Standing(
            connection.step,
            connection.tenant,
            min(connection.tunnels - again, self._most),
            frozenset(connection.tried),
            standing.accepted | ({letter.tenant} if auth and served and letter.tenant else frozenset()),
            refused_auth=standing.refused_auth or (auth and not served and standing.step not in _EARLY),
            erred=erred,
            named=standing.named or own,
            again=min(standing.again + again, self._most),
            refused=min(standing.refused + (erred and ask in (Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL)), self._most),
        )
