"""Requests that cases of several sections send, and the sessions on which they are valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cbspec.profile.profile import Tenant
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec.tokens.forgery import Forgery
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.properties.damage import is_beyond_readers
from cbspec_conformance.record.changes import changed, without
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.target.kinds import each, in_turn
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

TYPES = ("hello", "auth", "tunnel_info", "heartbeat")  # the types of a client's requests
UNKNOWN: Mapping[str, Any] = {"type": "cbspec_unknown"}  # a message of unknown type
UNREAD = 256 * 1024  # bytes of answers: more than the relay's system buffers for a client with a small receive window
TUNNEL_ID_REFUSED = "the relay refuses tunnel_ids of this kind, which the specification leaves open"
"""The reason why a case about an unusual tunnel_id is not exercised."""


def needs_transport(relay: RelayUnderTest, transport: str) -> None:
    """Raise NotExercised unless the run may use "tcp" or "websocket" (`transport`)."""
    if transport == "websocket":
        relay.needs.websocket()
    else:
        relay.needs.stream()


def ready(relay: RelayUnderTest, kind: str, transport: str = "") -> tuple[ProbeSession, dict[str, Any]]:
    """Return a session of the main tenant on which a request of a type is valid, and the request."""
    request = relay.request(kind)
    if kind == "hello":
        return relay.connect(transport=transport), request
    if kind == "auth":
        session = relay.greeted(transport=transport)
        session.assume(tenant=relay.tenant.id)
        return session, request
    return relay.authenticated(transport=transport), request


def with_tunnel(relay: RelayUnderTest, token: str = "") -> ProbeSession:
    """Return an authenticated session on which a tunnel was opened. A control."""
    session = relay.authenticated(token=token)
    relay.open_tunnel(session)
    return session


def reading_little(relay: RelayUnderTest, tenant: Tenant) -> ProbeSession:
    """Return an authenticated session with a very small receive window. A control."""
    with relay.control("hello and auth"):
        try:
            session = relay.connect(narrow=True)
        except (Unreachable, HandshakeFailure) as error:
            raise NotExercised(f"a connection with a small receive window can't be made here: {error}") from None
        judge.accepted(session.hello())
        judge.accepted(relay.authenticate(session, tenant))
    return session


def with_tunnel_and_heartbeat(relay: RelayUnderTest) -> ProbeSession:
    """Return an authenticated session on which a tunnel and a heartbeat were accepted. A control."""
    session = with_tunnel(relay)
    relay.beat(session)
    return session


def request_tunnel(relay: RelayUnderTest, session: ProbeSession, tenant: Tenant, token: str = "") -> Exchange:
    """Authenticate, and request a tunnel if that was accepted; return the last exchange.

    The specification doesn't say which of the two requests an error about the tenant refuses.
    """
    exchange = relay.authenticate(session, tenant, token=token)
    return session.ask(relay.tunnel_info(tenant.id)) if session.authenticated else exchange


def invalid_member_refused(relay: RelayUnderTest, member: str, values: Mapping[str, object], *codes: str) -> None:
    """Send tunnel_infos that differ from an accepted one in one member only (MISSING leaves it out); expect a code."""
    sessions = Sessions(relay)

    def check(value: object) -> None:
        session = sessions.next()
        request = without(relay.tunnel_info(session.tenant), member, value)
        exchange = session.ask(request, invalid=changed(member, value))
        if is_beyond_readers(value):
            judge.refused(exchange)
        else:
            judge.refused_with(exchange, *codes)

    each(values, check)


def each_forgery_refused(
    relay: RelayUnderTest, identifier: str, valid: str, codes: Callable[[Forgery, object], tuple[str, ...]]
) -> None:
    """Send every forgery of a requirement, made from the `valid` token; each must draw one of its `codes` (none: any).

    A relay that leaves the connection open gets the next one on it; at its end, a new valid token must be accepted.
    """

    def check(session: ProbeSession, forgery: Forgery) -> None:
        token = relay.tokens.forged(forgery, valid)
        if wanted := codes(forgery, token):
            judge.refused_with(relay.show(token, forgery.sentence, session), *wanted)

    in_turn(
        relay.tokens.forgeries(identifier, relay.tenant),
        relay.greeted,
        check,
        control=lambda session: takes_auth(relay, session),
    )


def takes_auth(relay: RelayUnderTest, session: ProbeSession) -> bool:
    """Whether a valid auth is accepted on a session, for example after refused ones. A control."""
    return judge.served(relay.authenticate(session, relay.tenant))


def record_reaction(
    relay: RelayUnderTest, session: ProbeSession, request: Mapping[str, Any], of: str = "", *, invalid: str = ""
) -> None:
    """Send a request, and record the relay's reaction to it. For open points."""
    relay.log.saw(reaction(session.ask(request, invalid=invalid)), of=of)


# ------------------------------------------------------------------ in pieces and together


def every_byte(data: bytes) -> list[bytes]:
    """Cut data into single bytes."""
    return [bytes([byte]) for byte in data]


def understood_in_pieces(
    session: ProbeSession, request: Mapping[str, Any], cut: Callable[[bytes], list[bytes]], *, fragments: bool = False
) -> None:
    """Check that a request in pieces is served, and its tunnel_id returned as after a request in one piece.

    `fragments`: see `ProbeSession.ask_in_pieces`.
    """
    exchange = session.ask_in_pieces(request, cut, fragments=fragments, apart=True)
    returned, asked = judge.accepted(exchange).member("tunnel_id"), request.get("tunnel_id")
    if asked is None or returned == asked:
        return
    whole = session.ask(request) if not session.ended else exchange
    if any(answer.member("tunnel_id") == asked for answer in whole.answers):
        expected = f"tunnel_id {quoted(asked, 80)}, as sent in pieces"
        raise Broken(expected, f"tunnel_id {quoted(returned, 80)}", exchange, kinds=("altered letters",))


def send_together(
    session: ProbeSession,
    requests: Sequence[Mapping[str, Any]],
    *,
    invalid: str = "",
    encode: Callable[[object], bytes] | None = None,
) -> Exchange:
    """Send requests at once, in one TLS record, and return all their answers as one exchange.

    `invalid` describes the mistake in one of them; `encode` is another legal encoding.
    """
    return judge.with_room(session.ask_together(requests, invalid=invalid, encode=encode))


def all_answered(
    session: ProbeSession, requests: Sequence[Mapping[str, Any]], *, encode: Callable[[object], bytes] | None = None
) -> None:
    """Check that requests sent at once draw an answer each, by type; CB-MSG-004 judges further answers."""
    exchange = send_together(session, requests, encode=encode)
    judge.all_answered(exchange, [SUCCESS_TYPES[request["type"]] for request in requests])
