"""The abstract inputs of a relay under learning, and how each is sent on a session of the suite's probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cbspec.profile.profile import Profile, Tenant
from cbspec.tokens.forgery import by_name
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.judge import is_success
from cbspec_conformance.learning.silences import AnsweredLate, Silences
from cbspec_conformance.machines.machine import CLOSED, CONNECTED, NO_ANSWER, NONE_DUE
from cbspec_conformance.oracles.model import Ask
from cbspec_conformance.probe.key_update import key_update_call
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.target.relay import RelayUnderTest

_UNKNOWN_TENANT: Final = "cbspec-no-such-tenant"
_MALFORMED: Final = b'{"type": heartbeat}'
_KEY_UPDATE: Final = "a TLS KeyUpdate that asks for one"


@dataclass(frozen=True, slots=True)
class Letter:
    """One abstract input.

    `ask` is the request of the oracle's model that it stands for (None: another connection, or no message). `tenant` is
    the tenant of its token or tunnel ("": none, or that of the session). `requirement` is the one that service of a bad
    request breaks.
    """

    name: str
    ask: Ask | None = None
    tenant: str = ""
    requirement: str = ""


RECONNECT: Final = Letter("reconnect")
RESUME: Final = Letter("resume")
KEY_UPDATE: Final = Letter("KeyUpdate")
HELLO_AGAIN: Final = Letter("hello", Ask.HELLO)
OTHER_VERSION: Final = Letter("hello 2.0", Ask.HELLO, requirement="CB-HEL-102")
BAD_HELLO: Final = Letter("hello without version", Ask.HELLO, requirement="CB-HEL-005")
INVALID_TUNNEL: Final = Letter("tunnel to port 0", Ask.BAD_TUNNEL, requirement="CB-TUN-010")
SAME_TUNNEL: Final = Letter("tunnel, same id", Ask.TUNNEL, requirement="CB-TUN-102")
UNKNOWN_TUNNEL: Final = Letter("tunnel of no tenant", Ask.FOREIGN_TUNNEL, _UNKNOWN_TENANT, "CB-TEN-006")
BEAT: Final = Letter("heartbeat", Ask.HEARTBEAT)
SPLIT_BEAT: Final = Letter("heartbeat, split", Ask.HEARTBEAT, requirement="CB-MSG-009")
UNKNOWN_TYPE: Final = Letter("unknown type", Ask.UNKNOWN)
MALFORMED: Final = Letter("malformed", requirement="CB-MSG-005")

_FORGED: Final = {
    "auth, expired": ("expired-11-minutes", "CB-AUT-005"),
    "auth, wrong signature": ("", "CB-AUT-008"),
    "auth, no JWT": ("", "CB-AUT-012"),
    "auth, no token": ("", "CB-AUT-014"),
    "auth, unknown tenant": ("", "CB-TEN-002"),
    "auth, inactive tenant": ("", "CB-TEN-003"),
}


class Alphabet:
    """The inputs that a profile allows.

    `letters` are the inputs by name, and `left_out` the reasons for those that are missing. `tenants` are the tenants A
    and, if there is one, B.
    """

    def __init__(self, relay: RelayUnderTest, tenant: Tenant | None = None) -> None:
        first = tenant or relay.tenant
        second = next((each for each in _others(relay.profile) if each.id != first.id), None)
        self.tenants: dict[str, Tenant] = {"A": first} | ({"B": second} if second is not None else {})
        self.left_out: dict[str, str] = {}
        self.letters: dict[str, Letter] = {each.name: each for each in self._possible(relay)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(self.letters)

    def _possible(self, relay: RelayUnderTest) -> Iterator[Letter]:
        yield from (HELLO_AGAIN, OTHER_VERSION, BAD_HELLO)
        for name, tenant in self.tenants.items():
            yield Letter(f"auth {name}", Ask.AUTH, tenant.id)
        if "B" not in self.tenants:
            self.left_out["auth B, tunnel B"] = "the profile has no second active tenant"
        for name, (_, requirement) in _FORGED.items():
            try:
                bad_token(relay, name, self.tenants["A"])
            except NotExercised as error:
                self.left_out[name] = str(error)
            else:
                yield Letter(name, Ask.BAD_AUTH, requirement=requirement)
        for name, tenant in self.tenants.items():
            yield Letter(f"tunnel {name}", Ask.TUNNEL, tenant.id)
        yield from (UNKNOWN_TUNNEL, INVALID_TUNNEL, SAME_TUNNEL, BEAT, SPLIT_BEAT, UNKNOWN_TYPE, MALFORMED)
        if key_update_call() is None:
            self.left_out[KEY_UPDATE.name] = "this Python gives no access to OpenSSL's SSL_key_update"
        else:
            yield KEY_UPDATE
        yield from (RECONNECT, RESUME)


def _others(profile: Profile) -> Iterator[Tenant]:
    """Yield the active tenants, those without limits first."""
    active = [each for each in profile.tenants if each.active]
    usual = [each for each in (profile.main_tenant, profile.second_tenant) if each is not None]
    yield from sorted([*usual, *active], key=lambda each: bool(each.features))


def bad_token(relay: RelayUnderTest, name: str, tenant: Tenant, last: str = "") -> object:
    """Return the token of a class of bad auth; None: the auth has none. Raises NotExercised without a key.

    `last` is the last valid token that was sent: a relay may know its content, and check no other signature.
    """
    match name:
        case "auth, wrong signature":
            return relay.tokens.spoil(last or relay.tokens.valid(tenant))
        case "auth, no JWT":
            return "not-a-token"
        case "auth, no token":
            return None
        case "auth, unknown tenant":
            return relay.tokens.minted(tenant, {"tenant_id": _UNKNOWN_TENANT})
        case "auth, inactive tenant":
            inactive = next((each for each in relay.profile.tenants if not each.active), None)
            if inactive is None:
                raise NotExercised("give tenants (an inactive one)")
            return relay.tokens.valid(inactive)
    return relay.tokens.forged(by_name(_FORGED[name][0]), relay.tokens.valid(tenant))


class WordPlayer:
    """One connection after the other to a relay, on which the inputs of a word are sent.

    `silences` are those that are awaited briefly (None: none are). `exchanges` has the exchange of each input so far
    (None: it sent no message).
    """

    def __init__(self, relay: RelayUnderTest, alphabet: Alphabet, silences: Silences | None = None) -> None:
        self._relay = relay
        self._alphabet = alphabet
        self._silences = silences
        self._doubted = False  # an answer may come after a brief wait
        self._session: ProbeSession = relay.connect()
        self._tenant = ""  # of the last accepted auth
        self._token = ""  # of the last good auth, on any connection
        self._named = relay.tunnel_info()["tunnel_id"]
        self.exchanges: list[Exchange | None] = []

    def send(self, letter: Letter) -> str:
        """Send one input and return the abstract output.

        Raises Unreachable, HandshakeFailure, RateLimited or AnsweredLate.
        """
        self.exchanges.append(None)
        if letter in (RECONNECT, RESUME):
            return self._connect(resume=letter is RESUME)
        if letter is KEY_UPDATE:
            if not self._session.ended:
                self._session.announce(_KEY_UPDATE)
                self._session.wire.update_keys()
            return NONE_DUE
        if self._session.ended:
            return CLOSED
        exchange = self.exchanges[-1] = self._awaited(letter)
        if letter.ask in (Ask.AUTH, Ask.BAD_AUTH):
            self._answered_auth(letter, exchange)
        return output_of(exchange)

    def settle(self) -> None:
        """Give an answer after the last brief wait the time to come. Raises AnsweredLate if there is one."""
        if self._doubted and self._silences is not None:
            if not self._session.ended:
                self._session.unasked(self._silences.seconds)
            self._check_doubt()
            self._doubted = False

    def _check_doubt(self, *, odd: bool = False) -> None:
        if self._doubted and (odd or self._session.strays):
            raise AnsweredLate

    def _awaited(self, letter: Letter) -> Exchange:
        """Send a letter and await its answer, briefly if there was none before."""
        session, silences, tenant = self._session, self._silences, self._tenant
        session.brief = None if silences is None else silences.wait(letter.name, tenant)
        exchange = self._exchange(letter)
        unanswered, ended = not exchange.answers, exchange.ended is not None
        self._check_doubt(odd=len(exchange.answers) > 1 or (unanswered and ended))
        if unanswered and not ended and silences is not None:
            if session.brief is None:
                silences.add(letter.name, tenant)
            else:
                self._doubted = True
        return exchange

    def _connect(self, *, resume: bool) -> str:
        self.settle()
        tls = self._session.wire.tls.ssl_object
        ticket = tls.session if resume and tls.session is not None and tls.session.has_ticket else None
        self._session.close()
        self._session = self._relay.connect(resume=ticket)
        self._tenant, self._named = "", self._relay.tunnel_info()["tunnel_id"]
        return CONNECTED

    def _exchange(self, letter: Letter) -> Exchange:
        session, relay = self._session, self._relay
        if letter is MALFORMED:
            session.expect_rate_limit()  # any code may refuse it
            return session.ask_text(_MALFORMED, meant="a word without quotes", fence=False)
        if letter is SPLIT_BEAT:
            return session.ask_in_pieces({"type": "heartbeat"}, _halves)
        if letter.ask is Ask.AUTH:
            tenant = next(each for each in self._alphabet.tenants.values() if each.id == letter.tenant)
            session.assume(tenant=tenant.id)
            self._token = relay.tokens.valid(tenant)
            return session.ask({"type": "auth", "token": self._token}, fence=False)
        request, why = self._request(letter)
        return session.ask(request, invalid=why, fence=False)

    def _request(self, letter: Letter) -> tuple[Mapping[str, Any], str]:
        """Return a request and the description of its mistake."""
        own = self._tenant or self._alphabet.tenants["A"].id
        if letter.ask is Ask.BAD_AUTH:
            token = bad_token(self._relay, letter.name, self._alphabet.tenants["A"], self._token)
            return {"type": "auth"} | ({} if token is None else {"token": token}), letter.name
        requests: dict[Letter, Callable[[], tuple[Mapping[str, Any], str]]] = {
            HELLO_AGAIN: lambda: (HELLO, ""),
            OTHER_VERSION: lambda: ({**HELLO, "version": "2.0"}, ""),
            BAD_HELLO: lambda: ({name: HELLO[name] for name in HELLO if name != "version"}, "without version"),
            INVALID_TUNNEL: lambda: (self._relay.tunnel_info(own, remote_port=0), "to port 0"),
            SAME_TUNNEL: lambda: (self._relay.tunnel_info(own, tunnel_id=self._named), ""),
            BEAT: lambda: ({"type": "heartbeat"}, ""),
            UNKNOWN_TYPE: lambda: ({"type": "cbspec_unknown"}, "of unknown type"),
        }
        if letter in requests:
            return requests[letter]()
        return self._relay.tunnel_info(letter.tenant), ""

    def _answered_auth(self, letter: Letter, exchange: Exchange) -> None:
        served = exchange.answer is not None and exchange.answer.type == "auth_response" and is_success(exchange.answer)
        if served and letter.tenant:
            self._tenant = letter.tenant
        self._session.assume(tenant=self._tenant, authenticated=bool(self._tenant))


def output_of(exchange: Exchange) -> str:
    """Return the abstract output: the type of the answer with the code of an error, `CLOSED` or `NO_ANSWER`.

    The end of a connection after an answer shows in the next output: it may come late.
    """
    answer = exchange.answer
    if answer is None:
        return CLOSED if exchange.ended is not None else NO_ANSWER
    if answer.decoded.fault:
        return "an unreadable message"
    if answer.type == "error":
        return f"error {answer.member('code')}"
    if not is_success(answer):
        return f"{answer.type}, not ok"
    return answer.type


def _halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]
