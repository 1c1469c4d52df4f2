"""Queued actions: their order and times; nothing is lost or sent twice."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.base.steps import Dial
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.faults.kind import ConnectionEnd, Delivery
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction, WaitAction
from cbspec_simulator.relay.behaviour import Writing
from cbspec_simulator.relay.events import Delivered, EndedBy

RESET = ConnectionEnd.RESET


def drained(box: Outbox, now: float = 0.0) -> list[tuple[float, Action]]:
    """Advance the time until nothing is due; return each action with its time."""
    found: list[tuple[float, Action]] = [(now, action) for action in box.due(now)]
    for _ in range(10_000):
        due = box.next_due()
        if due is None:
            break
        assert due > now or not list(box.due(now))
        now = max(now, due)
        found += [(now, action) for action in box.due(now)]
    assert not box
    return found


def outbox(writing: Writing) -> Outbox:
    return Outbox(writing, lambda action: None)


def chunks(size: int, gap: float = 0.0) -> Callable[[bytes], Iterator[tuple[float, bytes]]]:
    """Return a function that cuts bytes into equal parts."""
    return lambda data: ((gap if start else 0.0, data[start : start + size]) for start in range(0, len(data), size))


def numbered(deliveries: Sequence[Delivery | None]) -> list[Action]:
    """Return messages that can be told apart in pieces."""
    return [SendAction(b"<%03d>" % number, delivery) for number, delivery in enumerate(deliveries)]


def at(time: float, *data: bytes) -> list[tuple[float, Action]]:
    return [(time, SendAction(each)) for each in data]


def swap() -> Delivery:
    return Delivery(swap=True, within=60.0)


PLAIN, MERGING = Writing(), Writing(merge=True)
SCHEDULES: dict[str, tuple[Writing, list[Action], list[tuple[float, Action]]]] = {
    "the second cut splits the parts of the first": (
        PLAIN,
        [SendAction(b"abcdefgh", Delivery(cuts=[chunks(4, 10.0), chunks(2, 1.0)]))],
        [*at(0.0, b"ab"), *at(1.0, b"cd"), *at(11.0, b"ef"), *at(12.0, b"gh")],
    ),
    "the delays of both cuts add up": (
        PLAIN,
        [SendAction(b"abcd", Delivery(cuts=[chunks(2, 10.0), lambda data: [(1.0, data)]]))],
        [*at(1.0, b"ab"), *at(12.0, b"cd")],
    ),
    "the relay's own pieces": (
        Writing(pieces=lambda data: (data[:1], data[1:]), gap=2.0, pause=lambda: 1.0),
        [SendAction(b"abc")],
        [*at(1.0, b"a"), *at(3.0, b"bc")],
    ),
    "a merging relay": (
        MERGING,
        [*map(SendAction, (b"a", b"b")), WaitAction(1.0), *map(SendAction, (b"c", b"d")), Dial("far", 1)],
        [*at(0.0, b"ab"), (1.0, WaitAction(1.0)), *at(1.0, b"cd"), (1.0, Dial("far", 1))],
    ),
    "a delivery of its own is not merged": (
        MERGING,
        [SendAction(b"a"), SendAction(b"b", Delivery(pause=1.0)), SendAction(b"c")],
        [*at(0.0, b"a"), *at(1.0, b"b", b"c")],
    ),
    "a close comes after everything except held messages": (
        PLAIN,
        [*numbered([Delivery(pause=5.0), Delivery(gates=["g"]), swap(), Delivery(join=2)]), CloseAction()],
        [*at(5.0, b"<000>", b"<003><002>"), (5.0, CloseAction())],
    ),
    "an odd message is not swapped, and its wait ends": (
        PLAIN,
        numbered([swap(), swap(), swap()]),
        [*at(0.0, b"<001>", b"<000>"), *at(60.0, b"<002>")],
    ),
    "joined messages are delayed by the longest pause": (
        PLAIN,
        [SendAction(b"a", Delivery(join=3, within=5.0)), SendAction(b"b", Delivery(pause=1.0)), SendAction(b"c")],
        at(1.0, b"abc"),
    ),
    "an answer ends the connection": (
        PLAIN,
        [SendAction(b"abcdef", Delivery(length=3, end=RESET, pause=1.0))],
        [*at(1.0, b"abc"), (1.0, CloseAction(RESET, EndedBy.FAULT))],
    ),
    "an end does not wait for joined messages": (
        PLAIN,
        [SendAction(b"ab", Delivery(join=5, within=60.0)), SendAction(b"cdef", Delivery(length=2, end=RESET))],
        [*at(0.0, b"abcd"), (0.0, CloseAction(RESET, EndedBy.FAULT))],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    writing, actions, expected = SCHEDULES[name]
    box = outbox(writing)
    box.put(actions, 0.0)
    assert drained(box) == expected


@st.composite
def _actions(draw: st.DrawFn) -> tuple[list[Action], bool]:
    """Return actions, and whether they are performed in order."""
    in_order = draw(st.booleans())
    delivery = st.builds(
        Delivery,
        pause=st.sampled_from([0.0, 0.5, 3.0]),
        cuts=st.lists(st.builds(chunks, st.integers(1, 5), st.sampled_from([0.0, 0.5])), max_size=3),
        gates=st.just([]) if in_order else st.lists(st.sampled_from(["g", "h"]), unique=True, max_size=2),
        swap=st.just(False) if in_order else st.booleans(),
        join=st.sampled_from([1, 1, 2, 3]),
        within=st.sampled_from([0.5, 2.0]),
    )
    actions = numbered(draw(st.lists(st.none() | delivery, max_size=12)))
    for _ in range(draw(st.integers(0, 3))):
        others: list[Action] = [WaitAction(1.0), WaitAction(0.0, ("g",)), Dial("far", 1)]
        actions.insert(draw(st.integers(0, len(actions))), draw(st.sampled_from(others)))
    return actions, in_order


@settings(deadline=None)
@given(_actions(), st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=15, max_size=15), st.booleans())
def test_nothing_is_lost_or_sent_twice(drawn: tuple[list[Action], bool], gaps: list[float], merge: bool) -> None:
    (actions, in_order), box = drawn, outbox(Writing(merge=merge))
    now, timed = 0.0, list[tuple[float, Action]]()
    for action, gap in zip(actions, gaps, strict=False):
        now += gap
        box.put([action], now)
        timed += [(now, each) for each in box.due(now)]
    timed += drained(box, now)
    for gate in ("g", "h"):
        now += 50.0
        box.release(gate, now)
        timed += drained(box, now)
    seen = b"".join(action.data for _, action in timed if isinstance(action, SendAction))
    messages = [seen[start : start + 5] for start in range(0, len(seen), 5)]
    expected = [action.data for action in actions if isinstance(action, SendAction)]
    assert (messages if in_order else sorted(messages)) == expected
    others = [action for action in actions if not isinstance(action, SendAction)]
    assert sorted(map(str, others)) == sorted(str(action) for _, action in timed if not isinstance(action, SendAction))
    assert [time for time, _ in timed] == sorted(time for time, _ in timed)


def test_a_cleared_outbox_is_empty() -> None:
    box = outbox(PLAIN)
    deliveries = [Delivery(pause=1.0), Delivery(gates=["g"]), Delivery(swap=True), Delivery(join=2)]
    box.put([*numbered(deliveries), WaitAction(1.0)], 0.0)
    box.clear()
    box.release("g", 0.0)
    assert (bool(box), box.next_due(), list(box.due(100.0))) == (False, None, [])


def test_held_messages_wait_for_every_gate_and_others_pass() -> None:
    box = outbox(PLAIN)
    messages = [Delivery(gates=["g", "h"]), None, Delivery(gates=["h"])]
    box.put([*numbered(messages), WaitAction(2.0, ("h",))], 0.0)
    assert drained(box) == at(0.0, b"<001>")
    box.release("g", 1.0)
    assert drained(box, 1.0) == []
    box.release("h", 5.0)
    assert drained(box, 5.0) == [*at(5.0, b"<000>", b"<002>"), (7.0, WaitAction(2.0, ("h",)))]


def test_a_large_answer_in_small_pieces_takes_no_more_memory_than_itself() -> None:
    tracemalloc.start()
    try:
        box = outbox(PLAIN)
        box.put([SendAction(bytes(8_000_000), Delivery(cuts=[chunks(2), chunks(1)])), SendAction(b"next")], 0.0)
        first = list(itertools.islice(box.due(0.0), 1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first == [SendAction(b"\0")] * 1000
    assert box.next_due() == 0.0
    assert peak < 10_000_000


@pytest.mark.parametrize("length", [None, 1, 100, 150_000, 200_003])
def test_padding_is_inserted_while_a_message_is_sent(length: int | None) -> None:
    box = outbox(PLAIN)
    last = Delivered(cast(ConnectionState, None), 1)
    box.put([SendAction(b"<xx>", Delivery(fill=200_000, place=2, length=length, pause=1.0), (last,))], 0.0)
    sent = [action for _, action in drained(box) if isinstance(action, SendAction)]
    assert b"".join(action.data for action in sent) == (b"<x" + b"x" * 200_000 + b"x>")[:length]
    assert max(len(action.data) for action in sent) <= 64 * 1024
    assert [action.then for action in sent] == [()] * (len(sent) - 1) + [(last,)]


def test_a_long_message_is_sent_in_turns() -> None:
    done: list[Action] = []
    box = Outbox(PLAIN, done.append)
    data = bytes(range(256)) * 4096
    box.add([SendAction(data), SendAction(b"next")], 0.0)
    turns = 1
    while box:
        assert sum(len(action.data) for action in done if isinstance(action, SendAction)) <= turns * 256 * 1024
        box.run(0.0)
        turns += 1
    assert turns == 5
    assert b"".join(action.data for action in done if isinstance(action, SendAction)) == data + b"next"
