"""Waits of hand-made connections are recorded: a case that blames one begins again when no other case runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cbspec.profile.profile import Profile, TargetSettings, TlsSettings
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.tls_client import TlsClient
from cbspec_conformance.relay.tls_by_hand import HandMade
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.target.relay import RelayUnderTest
from tests.conformance.conftest import MakeTarget
from tests.conformance.tiny import accept, tiny_relay


def _upgrade(relay: RelayUnderTest) -> None:
    with pytest.raises(Inconclusive, match="no HTTP response"):
        upgrade(relay)


def _ask(relay: RelayUnderTest) -> None:
    by_hand = HandMade(relay)

    def attempt(client: TlsClient) -> str:
        client.handshake()
        return by_hand.ask(client)

    assert by_hand.attempted(None, attempt).startswith("no answer within")


@pytest.mark.parametrize(("attempt", "served"), [(_upgrade, 0), (_ask, 1)], ids=["WebSocket", "TLS"])
def test_a_long_wait_is_recorded(
    make_target: MakeTarget, attempt: Callable[[RelayUnderTest], None], served: int, tmp_path: Path
) -> None:
    answers = [accept] * served
    with tiny_relay(lambda text: answers.pop()(text) if answers else None, tmp_path) as endpoint:
        settings = TargetSettings(address=endpoint, transport="tcp", timeout=1.0, timeout_least=1.0)
        relay = make_target(Profile(target=settings, tls=TlsSettings(ca="development")))
        attempt(relay)
        assert relay.waited_long_for
