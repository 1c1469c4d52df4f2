"""The traces of a case in the relay's log."""

from __future__ import annotations

from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.record.identifiers import CaseConnection, CaseIdentifiers, identifiers_of
from cbspec_conformance.record.transcript import Failed, Transcript
from tests.conformance.build import AUTH, TUNNEL, TUNNEL_RESPONSE, opened, received, sent


def test_connections_tunnels_and_subjects_are_found() -> None:
    token = mint(SigningKey.hmac("k" * 32), {"sub": "cb-aut-002", "tenant_id": "t"})
    transcript = Transcript(
        records=[
            opened(),
            sent({**AUTH, "token": token}),
            sent({**AUTH, "token": 5}),
            sent({**TUNNEL, "tunnel_id": "cb-1"}),
            received({**TUNNEL_RESPONSE, "tunnel_id": "of the relay"}),
            sent({**TUNNEL, "tunnel_id": "x" * 10_000}),
            sent({**TUNNEL, "tunnel_id": ["odd"]}),
            sent(b"no json"),
            Failed(2.0, 2, "127.0.0.1:8080", "no", source="127.0.0.1:50002"),
        ],
        epoch=1000.0,
        contacts=[(1.0, "127.0.0.1:50001")],
    )
    connections = (
        CaseConnection(1000.0, "127.0.0.1:50000", 1),
        CaseConnection(1001.0, "127.0.0.1:50001"),
        CaseConnection(1002.0, "127.0.0.1:50002", 2),
    )
    assert identifiers_of(transcript) == CaseIdentifiers(connections, ("cb-1", "x" * 256), ("cb-aut-002",))
