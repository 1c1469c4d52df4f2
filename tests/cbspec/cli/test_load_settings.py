"""The settings of a load test on their way to the processes of Locust."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

from cbspec.cli.load_settings import Settings, aim_facts, invariants, token_source
from cbspec.tokens.jws import claims_of
from cbspec_client import Passed
from cbspec_client.conversation import Blame, Exchanged
from tests.conformance.build import error

SETTINGS = Settings("127.0.0.1:8080", "", "auto", ("tenant-001",), 1.0, 2.0, 3.0, again=True, user_file="")


def test_the_transport_option_overrides_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('[target]\naddress = "127.0.0.1:1"\ntransport = "websocket"\nwebsocket_path = "/ws"\n')
    named = replace(SETTINGS, address="", profile_file=str(file), transport=None)
    assert named.profile().target.transport == "websocket"
    profile = replace(named, transport="tcp").profile()
    facts = aim_facts(profile)
    assert (facts["host"], facts["port"], facts["transport"], facts["path"]) == ("127.0.0.1", 1, "tcp", "/ws")


def test_clients_alternate_between_tenants() -> None:
    give = token_source(SETTINGS.profile(), ["tenant-001", "tenant-002"])
    given = [give() for _ in range(4)]
    assert [tenant for _, tenant in given] == ["tenant-001", "tenant-002"] * 2
    assert [claims_of(token)["tenant_id"] for token, _ in given] == [tenant for _, tenant in given]
    assert len({token for token, _ in given}) == 4


def test_the_observer_checks_for_secrets_and_redacts_tokens() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
    sent = Passed(sent=True, text=b'{"type":"auth","token":"' + token.encode() + b'"}', message=None)
    answer = b'{"type":"auth_response","status":"ok","client_id":"x","tenant_id":"' + token.encode() + b'"}'
    received = Passed(sent=False, text=answer, message=None)
    (blame,) = invariants(())(Exchanged(sent, (received,), "tenant-001"))
    assert blame.requirement == "CB-AUT-003"
    assert token[:30] not in blame.expected + blame.seen
    message = json.dumps(error(message="tenant-002 owns it")).encode()
    secret = Exchanged(None, (Passed(sent=False, text=message, message=None),), "tenant-001")
    assert [blame.requirement for blame in invariants(("tenant-002",))(secret)] == ["CB-ERR-004", "CB-MSG-004"]
    assert invariants(("tenant-002",))(replace(secret, tenant="tenant-002")) == [Blame("CB-MSG-004", ANY, ANY)]
