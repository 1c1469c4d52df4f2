"""Relays that are wrong in the simplest ways: each gets the right verdicts, and no refusal passes by accident."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from tests.conformance.commands import Done, verdict, verify
from tests.conformance.tiny import Answer, accept, tiny_relay

NOISE = random.Random(0).randbytes(40).replace(b"\n", b"")  # noqa: S311 - no secret
"""Bytes that are no JSON; a line feed among them could leave a digit alone on a line, which is."""

WITHOUT_MESSAGES = ("CB-TLS", "CB-CMP-003", "CB-WSK-001")
"""Prefixes of the requirements that can pass whatever the relay answers."""


def judged(answer: Answer, transport: str, folder: Path, *options: str) -> Done:
    """Run the suite against a tiny relay."""
    with tiny_relay(answer, folder, websocket=transport == "websocket") as endpoint:
        done = verify(str(endpoint), "--transport", transport, "--effort", "quick", *options)
    assert "Mistakes of the kit" not in done.text
    assert "Traceback" not in done.text
    return done


@pytest.mark.parametrize(
    ("answer", "transport", "broken"),
    [
        (lambda text: text, "websocket", "CB-MSG-003"),
        (lambda text: NOISE, "tcp", "CB-MSG-001"),
    ],
    ids=["echoes", "random-bytes"],
)
def test_a_relay_without_hello_passes_nothing(answer: Answer, transport: str, broken: str, tmp_path: Path) -> None:
    done = judged(answer, transport, tmp_path)
    assert done.code == 1, done.text
    assert f"did not pass: {broken}" in done.text
    assert verdict(done.text, "failed") == 1
    assert verdict(done.text, "passed") <= sum(row.id.startswith(WITHOUT_MESSAGES) for row in REQUIREMENTS.values())


def test_a_relay_that_accepts_everything_fails_every_refusal(tmp_path: Path) -> None:
    refusals = ("CB-AUT-005", "CB-AUT-012", "CB-TUN-003", "CB-TUN-010", "CB-UNK-001", "CB-TEN-002", "CB-MSG-005")
    others = ("CB-HEL-001", "CB-AUT-001", "CB-TUN-001")
    done = judged(accept, "websocket", tmp_path, "--only", ",".join(refusals + others))
    assert done.code == 1, done.text
    failed = set(done.text.split("did not pass: ")[1].replace(",", "").split())
    assert failed.issuperset(refusals)
    assert failed.isdisjoint(others)


def test_a_silent_listener_is_no_target(tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    with tiny_relay(lambda text: None, tmp_path) as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\ntimeout = 1.0\ntimeout_least = 1.0\n')
        done = verify("--target-profile", str(profile))
    assert done.code == 3, done.text
    assert "completes the TLS handshake, but answers nothing within 1 s, neither a hello nor a WebSocket's" in done.text
    assert "Requirements by chapter" not in done.text
