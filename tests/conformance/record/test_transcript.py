"""Records and their clock."""

from __future__ import annotations

import pytest

from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.transcript import Direction, Message, Transcript
from tests.conformance.memory import ManualClock


def test_time_starts_at_zero() -> None:
    clock = ManualClock()
    clock.sleep(100.0)
    transcript = Transcript(clock)
    clock.sleep(0.5)
    assert transcript.now() == 0.5


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        (b'{"type":"error","code":"x"}', "error", "x"),
        (b'{"type":7,"code":null}', "", None),
        (b'{"code":["x"]}', "", ["x"]),
        (b"[1]", "", None),
        (b"nonsense", "", None),
    ],
)
def test_members_of_any_message(text: bytes, kind: str, code: object) -> None:
    message = Message(0.0, 1, Direction.RECEIVED, text, decode(text))
    assert message.type == kind
    assert message.member("code") == code
