"""Messages cut into exchanges, and what an onlooker makes of them."""

from __future__ import annotations

from cbspec_client.conversation import Blame, Conversation, Exchanged
from cbspec_client.session import Passed


def sent(text: bytes) -> Passed:
    return Passed(sent=True, text=text, message=None)


def received(text: bytes) -> Passed:
    return Passed(sent=False, text=text, message=None)


class Onlooker:
    """Notes what it is shown, and blames what an answer's text names."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, list[bytes]]] = []

    def __call__(self, exchanged: Exchanged) -> list[Blame]:
        texts = [answer.text for answer in exchanged.answers]
        self.seen.append((exchanged.request.text if exchanged.request else b"", texts))
        return [Blame(text.decode()) for text in texts if text.startswith(b"CB-")]


def test_each_request_has_all_that_came_until_the_next() -> None:
    onlooker = Onlooker()
    conversation = Conversation(onlooker)
    for message in (received(b"0"), sent(b"a"), received(b"1"), received(b"2"), sent(b"b"), received(b"3")):
        conversation.passed(message)
    assert conversation.findings() == []
    assert onlooker.seen == [(b"", [b"0"]), (b"a", [b"1", b"2"]), (b"b", [b"3"])]


def test_what_comes_late_is_looked_at_with_its_exchange() -> None:
    onlooker = Onlooker()
    conversation = Conversation(onlooker)
    conversation.passed(sent(b"a"))
    conversation.passed(received(b"CB-1"))
    assert conversation.findings() == [Blame("CB-1")]
    assert conversation.findings() == []
    conversation.passed(received(b"CB-2"))
    conversation.passed(sent(b"b"))
    assert conversation.findings() == [Blame("CB-2")]  # CB-1 was blamed in the same exchange already
    assert onlooker.seen == [(b"a", [b"CB-1"]), (b"a", [b"CB-1", b"CB-2"])]


def test_what_the_session_found_counts_where_the_onlooker_finds_nothing() -> None:
    conversation = Conversation(Onlooker())
    conversation.passed(sent(b"a"))
    conversation.passed(received(b"CB-1"))
    conversation.blame("CB-9")
    assert conversation.findings() == [Blame("CB-1")]
    conversation.passed(sent(b"b"))
    conversation.passed(received(b"fine"))
    conversation.blame("CB-9")
    assert conversation.findings() == [Blame("CB-9")]


def test_without_an_onlooker_nothing_is_found() -> None:
    conversation = Conversation()
    conversation.passed(received(b"CB-1"))
    assert conversation.findings() == []
