"""Source: Message Types / 2. Authentication; Error Codes / invalid_token."""

from __future__ import annotations

import contextlib

import pytest

from cbspec.tokens.forgery import FORGERIES, Forgery
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-AUT-001")
def test_valid_token_is_accepted(relay: RelayUnderTest) -> None:
    """A token made as the profile says is shown after hello. Where no token is accepted at all, nothing can be said."""
    session = relay.greeted()
    judge.accepted(relay.authenticate(session, relay.tenant))


@requirement("CB-AUT-002")
def test_client_id_is_a_string(relay: RelayUnderTest) -> None:
    """The answer to a valid auth is held against the schema of auth_response."""
    relay.authenticated()
    relay.log.judge_invariant("CB-AUT-002")


@requirement("CB-AUT-003")
def test_tenant_is_the_tokens(relay: RelayUnderTest) -> None:
    """The tenant_id of the auth_response is compared with the token's, for two tenants where the profile has two."""
    relay.authenticated()
    if relay.profile.second_tenant is not None:
        relay.authenticated(relay.second_tenant)
    relay.log.judge_invariant("CB-AUT-003")


@requirement("CB-AUT-004")
def test_client_id_is_not_empty(relay: RelayUnderTest) -> None:
    """The client_id in the answer to a valid auth has at least one character."""
    relay.authenticated()
    relay.log.judge_invariant("CB-AUT-004")


@requirement("CB-AUT-005")
def test_expired_token(relay: RelayUnderTest) -> None:
    """Tokens that expired eleven minutes ago or earlier are shown, each valid but for that."""
    _refused(relay, "CB-AUT-005")


@requirement("CB-AUT-006")
def test_token_not_yet_valid(relay: RelayUnderTest) -> None:
    """Tokens that become valid in eleven minutes or later are shown, each valid but for that."""
    _refused(relay, "CB-AUT-006")


@requirement("CB-AUT-007")
def test_payload_changed(relay: RelayUnderTest) -> None:
    """Tokens whose payload was changed under the old signature are shown; the decoded bytes differ."""
    _refused(relay, "CB-AUT-007")


@requirement("CB-AUT-008")
def test_signature_changed(relay: RelayUnderTest) -> None:
    """Tokens with a changed, cut or missing signature are shown; the decoded bytes differ, not only the padding."""
    _refused(relay, "CB-AUT-008")


@requirement("CB-AUT-009")
def test_wrong_key(relay: RelayUnderTest) -> None:
    """A token is shown that is valid but for the key that signed it."""
    _refused(relay, "CB-AUT-009")


@requirement("CB-AUT-010")
def test_algorithm_none(relay: RelayUnderTest) -> None:
    """Tokens that call themselves unsigned are shown, in four spellings, with and without the old signature."""
    _refused(relay, "CB-AUT-010")


@requirement("CB-AUT-011")
def test_algorithm_confusion(relay: RelayUnderTest) -> None:
    """Tokens are shown whose header names another kind of algorithm, or brings the key to verify them with."""
    _refused(relay, "CB-AUT-011")


@requirement("CB-AUT-012")
def test_not_a_jwt(relay: RelayUnderTest) -> None:
    """Texts are shown that are no JWT, or are one cut short."""
    _refused(relay, "CB-AUT-012")


@requirement("CB-AUT-013")
def test_empty_token(relay: RelayUnderTest) -> None:
    """An auth with an empty token is sent."""
    _refused(relay, "CB-AUT-013")


@requirement("CB-AUT-014")
def test_token_missing(relay: RelayUnderTest) -> None:
    """An auth without a token is sent."""
    _refused(relay, "CB-AUT-014")


@requirement("CB-AUT-015")
def test_token_is_not_a_string(relay: RelayUnderTest) -> None:
    """Auths are sent whose token is a number, null, true, an array or an object, also such as hold a valid token."""
    _refused(relay, "CB-AUT-015")


@requirement("CB-AUT-016")
def test_refused_is_not_authenticated(relay: RelayUnderTest) -> None:
    """A tunnel_info that was accepted elsewhere follows a refused auth; so it does in every case of a bad token."""
    _tunnel_and_close(relay)
    session = relay.greeted()
    with relay.control("an auth that is refused"):
        judge.refused(session.ask({"type": "auth", "token": "not-a-token"}))
    if session.ended:
        return
    judge.not_accepted(session.ask(relay.tunnel_info()), "no tunnel after a refused auth")


@requirement("CB-AUT-016")
def test_no_kind_of_refused_token_authenticates(relay: RelayUnderTest) -> None:
    """One bad token of each kind is shown, each on a connection of its own; a tunnel_info behind it isn't accepted."""
    valid = relay.tokens.valid(relay.tenant)
    relay.authenticated(token=valid).close()
    kinds = {forgery.requirement: forgery for forgery in FORGERIES if forgery.requirement.startswith("CB-AUT")}
    for forgery in kinds.values():
        with contextlib.suppress(NotExercised):  # without the key some can't be made
            relay.show_forged(forgery, valid)
    relay.log.judge_invariant("CB-AUT-016")


@requirement("CB-AUT-017")
@pytest.mark.parametrize("when", ["before", "after", "closed"])
def test_auth_counts_for_its_own_connection(relay: RelayUnderTest, when: str) -> None:
    """One connection authenticates and opens a tunnel; another, opened before, after or when it closed, tries to."""
    other = relay.greeted() if when == "before" else None
    authenticated = relay.authenticated()
    relay.open_tunnel(authenticated)
    if when == "closed":
        authenticated.close()
    other = other or relay.greeted()
    judge.not_accepted(other.ask(relay.tunnel_info()), "no tunnel without an auth of its own")


@requirement("CB-AUT-017")
def test_tenants_stay_apart(relay: RelayUnderTest) -> None:
    """Two connections authenticate as two tenants; each opens tunnels of its own tenant, in turn."""
    first, second = relay.authenticated(), relay.authenticated(relay.second_tenant)
    for session in (first, second, first, second):
        exchange = session.ask(relay.tunnel_info(session.tenant))
        relay.room.for_tunnel(session.tenant)
        judge.accepted(exchange)


@requirement("CB-AUT-017")
def test_a_resumed_tls_session_is_not_authenticated(relay: RelayUnderTest) -> None:
    """A connection authenticates and closes; another resumes its TLS session, says hello and asks for a tunnel."""
    authenticated = relay.authenticated()
    relay.open_tunnel(authenticated)
    ticket = authenticated.wire.tls_session
    authenticated.close()
    if ticket is None:
        raise NotExercised("the relay gives no ticket to resume a TLS session with")
    with relay.control("hello on a resumed TLS session"):
        other = relay.connect(resume=ticket)
        judge.accepted(other.hello())
    if not other.wire.resumed:
        raise NotExercised("the relay resumes no TLS session")
    judge.not_accepted(other.ask(relay.tunnel_info()), "no tunnel without an auth of its own")


def _tunnel_and_close(relay: RelayUnderTest, token: str = "") -> None:
    """Open a tunnel, as a control, and close its connection: what counts for others beside it is CB-AUT-017's."""
    session = relay.authenticated(token=token)
    relay.open_tunnel(session)
    session.close()


def _refused(relay: RelayUnderTest, identifier: str) -> None:
    """Show every forgery of a requirement on a connection of its own, beside a good token that was accepted."""
    # What is forged is the very token that was accepted a moment ago: a relay may remember what it has seen.
    valid = relay.tokens.valid(relay.tenant)
    _tunnel_and_close(relay, valid)

    def check(forgery: Forgery) -> None:
        judge.refused_with(relay.show_forged(forgery, valid), "invalid_token", *forgery.also)

    relay.tokens.each_forgery(identifier, relay.tenant, check)
