"""Messages grouped into exchanges, and the findings of an onlooker."""

from __future__ import annotations

from cbspec_client.conversation import Blame, Conversation, Exchanged
from cbspec_client.session import Passed


class Recorder:
    """Records each exchange, and blames the requirements that its answers name."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, list[bytes]]] = []

    def __call__(self, exchanged: Exchanged) -> list[Blame]:
        texts = [answer.text for answer in exchanged.answers]
        self.seen.append((exchanged.request.text if exchanged.request else b"", texts))
        return [Blame(text.decode()) for text in texts if text.startswith(b"CB-")]


def add(conversation: Conversation, *texts: bytes) -> None:
    """Add messages; letters are requests."""
    for text in texts:
        conversation.passed(Passed(sent=text in b"abc", text=text, message=None))


def test_an_exchange_has_all_answers_until_the_next_request() -> None:
    conversation = Conversation(recorder := Recorder())
    add(conversation, b"0", b"a", b"1", b"2", b"b", b"3")
    assert conversation.findings() == []
    assert recorder.seen == [(b"", [b"0"]), (b"a", [b"1", b"2"]), (b"b", [b"3"])]


def test_a_late_answer_belongs_to_its_exchange_and_a_requirement_is_blamed_once() -> None:
    conversation = Conversation(recorder := Recorder())
    add(conversation, b"a", b"CB-1")
    assert [conversation.findings(), conversation.findings()] == [[Blame("CB-1")], []]
    add(conversation, b"CB-2", b"b")
    assert conversation.findings() == [Blame("CB-2")]
    assert recorder.seen == [(b"a", [b"CB-1"]), (b"a", [b"CB-1", b"CB-2"])]


def test_a_finding_of_the_session_counts_if_the_onlooker_has_none() -> None:
    conversation = Conversation(Recorder())
    for answer, expected in ((b"CB-1", "CB-1"), (b"valid", "CB-9")):
        add(conversation, b"a", answer)
        conversation.blame("CB-9")
        assert conversation.findings() == [Blame(expected)]
