"""Source: Notes / all connections must use TLS 1.3; RFC 8446, 2.2, 2.3 and 8. Tickets and 0-RTT data.

Only a token gives a connection its identity. 0-RTT data can be replayed by anyone who has seen it.
"""

from __future__ import annotations

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.tls_client import NotAgreed, Ticket, TlsClient
from cbspec_conformance.relay.tls_by_hand import SERVED, HandMade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_NO_TICKET = "the relay gives no ticket to resume a TLS session with"
_LINE = b'{"type":"cbspec_after_early_data"}\n'
_ACTED_ON = "an answer to the request in it"


@requirement("CB-TLS-016")
@pytest.mark.parametrize("when", ["open", "closed"])
def test_a_ticket_carries_no_tenant(relay: RelayUnderTest, when: str) -> None:
    """Use a ticket of one tenant's connection, which is open or closed, on a connection of another tenant."""
    relay.needs.tenancy()
    first, other = relay.authenticated(), relay.second_tenant
    with relay.control("refusing a tunnel of another tenant without a ticket"):
        judge.refused(relay.authenticated(other).ask(relay.tunnel_info()))
    relay.open_tunnel(first)
    ticket = first.wire.tls.ssl_object.session
    if when == "closed":
        first.close()
    if ticket is None or not ticket.has_ticket:
        raise NotExercised(_NO_TICKET)
    with relay.control("hello on a resumed TLS session"):
        session = relay.connect(resume=ticket)
        judge.accepted(session.hello())
    if not session.wire.tls.ssl_object.session_reused:
        raise NotExercised("the relay resumes no TLS session")
    exchange = relay.authenticate(session, other)
    answer = judge.accepted(exchange)
    if answer.member("tenant_id") != other.id:
        raise Broken(f"tenant_id {other.id} on a resumed session", f"tenant_id {answer.member('tenant_id')}", exchange)
    judge.not_accepted(session.ask(relay.tunnel_info()), "no tunnel for the tenant of the ticket")
    if not session.ended:
        relay.room.for_tunnel(other.id)
        judge.accepted(session.ask(relay.tunnel_info(other.id)))


@requirement("CB-TLS-007")
def test_early_data(relay: RelayUnderTest) -> None:
    """Resume a session with a request as 0-RTT data, then send the same bytes again on another connection."""
    hand = HandMade(relay)
    ticket = _ticket(hand)
    try:
        first, how = _early(hand, ticket, None)
        outcomes = {"": how, ", sent a second time": _early(hand, ticket, first)[1]}
    except Unreachable as error:
        raise Inconclusive(str(error)) from None
    for repeated, outcome in outcomes.items():
        if outcome == _ACTED_ON:
            raise Broken(f"no answer to a request in 0-RTT data{repeated}", _ACTED_ON)
    relay.log.remark(f"0-RTT data was {how}")


@requirement("CB-TLS-113")
def test_early_data_is_allowed(relay: RelayUnderTest) -> None:
    """Record whether tickets allow 0-RTT data, and how a connection with it goes on."""
    hand = HandMade(relay)
    ticket = _ticket(hand)
    relay.log.saw("allowed" if ticket.early else "not allowed", of="by the ticket")
    relay.log.saw(_early(hand, ticket, None)[1], of="0-RTT data")


def _ticket(hand: HandMade) -> Ticket:
    """Return the last ticket of a connection on which a request was answered."""
    tickets = hand.control().tickets
    if not tickets:
        raise NotExercised(_NO_TICKET)
    return tickets[-1]


def _early(hand: HandMade, ticket: Ticket, repeated: TlsClient | None) -> tuple[TlsClient, str]:
    """Send a request as 0-RTT data; return the connection, and how the data was treated."""
    with hand.connected(ticket=ticket, early=hand.request, repeated=repeated) as client:
        try:
            client.handshake()
        except NotAgreed as error:
            return client, f"refused: {error}"
        # The first answer is to the request if it was acted on, otherwise to this line.
        client.send(_LINE)
        outcome = hand.outcome(client, of_first=True)
    if outcome == SERVED:
        return client, _ACTED_ON
    ended = client.end and client.end != "close_notify"
    return client, f"refused: {client.end}" if ended and not client.seen.early else "skipped"
