"""Messages grouped into exchanges, the findings of an onlooker, and their counts."""

from __future__ import annotations

import msgspec

from cbspec_client.conversation import Blame, BreachCount, Conversation, Exchanged, Score
from cbspec_client.session import Passed


def conversation() -> tuple[Conversation, list[tuple[bytes, list[bytes]]]]:
    """Return a conversation and the exchanges that its onlooker sees, which blames the requirements in answers."""
    seen: list[tuple[bytes, list[bytes]]] = []

    def onlooker(exchanged: Exchanged) -> list[Blame]:
        texts = [answer.text for answer in exchanged.answers]
        seen.append((exchanged.request.text if exchanged.request else b"", texts))
        return [Blame(text.decode()) for text in texts if text.startswith(b"CB-")]

    return Conversation(onlooker), seen


def add(conversation: Conversation, *texts: bytes) -> None:
    """Add messages; letters are requests."""
    for text in texts:
        conversation.passed(Passed(sent=text in b"abc", text=text, message=None))


def test_an_exchange_has_all_answers_until_the_next_request_and_a_requirement_is_blamed_once() -> None:
    one, seen = conversation()
    add(one, b"0", b"a", b"CB-1")
    assert [one.findings(), one.findings()] == [[Blame("CB-1")], []]
    add(one, b"CB-2", b"b", b"3")
    assert one.findings() == [Blame("CB-2")]
    assert seen == [(b"", [b"0"]), (b"a", [b"CB-1"]), (b"a", [b"CB-1", b"CB-2"]), (b"b", [b"3"])]


def test_a_finding_of_the_session_counts_if_the_onlooker_has_none() -> None:
    one, _ = conversation()
    for answer, expected in ((b"CB-1", "CB-1"), (b"valid", "CB-9")):
        add(one, b"a", answer)
        one.blame("CB-9")
        assert one.findings() == [Blame(expected)]


def test_scores_add_up_and_are_read_from_json_as_written() -> None:
    one, other = Score(3, 1, 1, {"CB-1": BreachCount(2, "this", "that")}), Score(4, 4)
    for requirement in ("CB-1", "CB-2"):
        other.blame(Blame(requirement, "expected", "seen"))
    total = Score.sum([one, other])
    assert (total.begun, total.ended, total.open) == (7, 6, 1)
    assert total.broken == {"CB-1": BreachCount(3, "this", "that"), "CB-2": BreachCount(1, "expected", "seen")}
    assert msgspec.convert(msgspec.to_builtins(total), Score) == total
