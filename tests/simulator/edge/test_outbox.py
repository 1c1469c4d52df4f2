"""What a connection still has to do: in order, nothing lost, nothing twice, and pieces that make up the whole."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.base.steps import Dial
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.faults.kind import ConnectionEnd, Delivery
from cbspec_simulator.relay.behaviour import Writing
from cbspec_simulator.relay.session import Action, CloseAction, SendAction, WaitAction


def outbox(**writing: Any) -> Outbox:  # noqa: ANN401 - checked by the names of Writing
    """Return an empty one."""
    return Outbox(Writing(**writing))


def until_the_end(box: Outbox, now: float = 0.0) -> list[tuple[float, Action]]:
    """Let time run, and return when each action was due."""
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


def sent(timed: Sequence[tuple[float, Action]]) -> bytes:
    """Return all that was sent."""
    return b"".join(action.data for _, action in timed if isinstance(action, SendAction))


def chunks(size: int, gap: float) -> Callable[[bytes], list[tuple[float, bytes]]]:
    """Return what cuts bytes into equal parts."""
    return lambda data: [(gap if start else 0.0, data[start : start + size]) for start in range(0, len(data), size)]


cuts = st.builds(chunks, st.integers(1, 5), st.sampled_from([0.0, 0.5]))
pauses = st.sampled_from([0.0, 0.5, 3.0])


def numbered(deliveries: Sequence[Delivery | None]) -> list[SendAction]:
    """Return messages that can be told apart, however they are cut."""
    return [SendAction(b"<%03d>" % number, delivery) for number, delivery in enumerate(deliveries)]


# ---------------------------------------------------------------------------- order


@settings(deadline=None)
@given(
    st.lists(st.none() | st.builds(Delivery, pause=pauses, cuts=st.lists(cuts, max_size=3)), max_size=12),
    st.lists(st.sampled_from([0.0, 0.1, 1.0]), min_size=12, max_size=12),
)
def test_pauses_and_cuts_keep_the_order(deliveries: list[Delivery | None], gaps: list[float]) -> None:
    box, now, timed = outbox(), 0.0, list[tuple[float, Action]]()
    messages = numbered(deliveries)
    put_at = []
    for message, gap in zip(messages, gaps, strict=False):
        now += gap
        timed += [(now, action) for action in box.due(now)]
        put_at.append(now)
        box.put([message], now)
    timed += until_the_end(box, now)
    assert sent(timed) == b"".join(message.data for message in messages)
    times = [time for time, _ in timed]
    assert times == sorted(times)
    place = 0
    for message, put in zip(messages, put_at, strict=True):
        first = next(time for time, before in _beginnings(timed) if before >= place)
        assert first >= put + (message.delivery.pause if message.delivery else 0.0) or place == 0
        place += len(message.data)


def _beginnings(timed: Sequence[tuple[float, Action]]) -> list[tuple[float, int]]:
    """Return when each piece went out, and how much went out before it."""
    place, found = 0, []
    for time, action in timed:
        if isinstance(action, SendAction):
            found.append((time, place))
            place += len(action.data)
    return found


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(cuts, min_size=1, max_size=3))
def test_pieces_make_up_the_whole(data: bytes, several: list[Any]) -> None:
    box = outbox(pieces=lambda data: [data], gap=9.0)
    box.put([SendAction(data, Delivery(cuts=several))], 0.0)
    timed = until_the_end(box)
    assert sent(timed) == data
    assert all(isinstance(action, SendAction) and action.data for _, action in timed)


def test_one_cut_goes_through_the_next() -> None:
    box = outbox()
    box.put([SendAction(b"abcdefgh", Delivery(cuts=[chunks(4, 10.0), chunks(2, 1.0)]))], 0.0)
    assert until_the_end(box) == [
        (0.0, SendAction(b"ab")),
        (1.0, SendAction(b"cd")),
        (11.0, SendAction(b"ef")),
        (12.0, SendAction(b"gh")),
    ]


def test_what_both_cuts_wait_for_adds_up() -> None:
    box = outbox()
    box.put([SendAction(b"abcd", Delivery(cuts=[chunks(2, 10.0), lambda data: [(1.0, data)]]))], 0.0)
    assert until_the_end(box) == [(1.0, SendAction(b"ab")), (12.0, SendAction(b"cd"))]


def test_the_relay_s_own_way_of_writing() -> None:
    box = outbox(pieces=lambda data: (data[:1], data[1:]), gap=2.0, pause=lambda: 1.0)
    box.put([SendAction(b"abc")], 0.0)
    assert until_the_end(box) == [(1.0, SendAction(b"a")), (3.0, SendAction(b"bc"))]


def test_what_is_written_at_once_goes_out_as_one_where_the_relay_merges() -> None:
    box = outbox(merge=True)
    box.put(
        [
            SendAction(b"a"),
            SendAction(b"b"),
            WaitAction(1.0),
            SendAction(b"c"),
            SendAction(b"d", Delivery(pause=1.0)),
            SendAction(b"e"),
        ],
        0.0,
    )
    assert [action for _, action in until_the_end(box)] == [
        SendAction(b"ab"), WaitAction(1.0), SendAction(b"c"), SendAction(b"d"), SendAction(b"e")
    ]  # fmt: skip


# ---------------------------------------------------------------------------- everything at once


@st.composite
def _actions(draw: st.DrawFn) -> list[Action]:
    delivery = st.builds(
        Delivery,
        pause=pauses,
        cuts=st.lists(cuts, max_size=2),
        gates=st.lists(st.sampled_from(["g", "h"]), unique=True, max_size=2),
        swap=st.booleans(),
        join=st.sampled_from([1, 1, 2, 3]),
        within=st.sampled_from([0.5, 2.0]),
    )
    deliveries = draw(st.lists(st.none() | delivery, max_size=12))
    actions: list[Action] = [*numbered(deliveries)]
    for _ in range(draw(st.integers(0, 3))):
        others: list[Action] = [WaitAction(1.0), WaitAction(0.0, ("g",)), Dial("far", 1)]
        actions.insert(draw(st.integers(0, len(actions))), draw(st.sampled_from(others)))
    return actions


@settings(deadline=None)
@given(_actions(), st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=15, max_size=15), st.booleans())
def test_nothing_is_lost_and_nothing_is_doubled(actions: list[Action], gaps: list[float], merge: bool) -> None:
    box, now, timed = outbox(merge=merge), 0.0, list[tuple[float, Action]]()
    for action, gap in zip(actions, gaps, strict=False):
        now += gap
        box.put([action], now)
        timed += [(now, each) for each in box.due(now)]
    timed += until_the_end(box, now)
    for gate in ("g", "h"):
        now += 50.0
        box.release(gate, now)
        timed += until_the_end(box, now)
    seen = sent(timed)
    assert sorted(seen[at : at + 5] for at in range(0, len(seen), 5)) == sorted(
        action.data for action in actions if isinstance(action, SendAction)
    )
    others = [action for action in actions if not isinstance(action, SendAction)]
    assert sorted(map(str, others)) == sorted(str(action) for _, action in timed if not isinstance(action, SendAction))
    assert [time for time, _ in timed] == sorted(time for time, _ in timed)


# ---------------------------------------------------------------------------- ends


def test_a_close_comes_behind_everything_that_nothing_holds() -> None:
    box = outbox()
    box.put([
        SendAction(b"a", Delivery(pause=5.0)),
        SendAction(b"held", Delivery(gates=["g"])),
        SendAction(b"b", Delivery(swap=True, within=60.0)),
        CloseAction(),
    ], 0.0)  # fmt: skip
    assert list(box.due(0.0)) == []
    assert list(box.due(5.0)) == [SendAction(b"a"), SendAction(b"b"), CloseAction()]
    assert not box


def test_a_close_parts_who_waits_for_company() -> None:
    box = outbox()
    box.put([SendAction(b"a", Delivery(join=3, within=60.0)), CloseAction()], 0.0)
    assert list(box.due(0.0)) == [SendAction(b"a"), CloseAction()]


@pytest.mark.parametrize("end", ConnectionEnd)
def test_an_answer_that_ends_the_connection(end: ConnectionEnd) -> None:
    box = outbox()
    box.put([SendAction(b"abcdef", Delivery(length=3, end=end, pause=1.0))], 0.0)
    assert until_the_end(box) == [(1.0, SendAction(b"abc")), (1.0, CloseAction(end))]
    box.put([SendAction(b"abcdef", Delivery(length=0, end=end))], 0.0)
    assert until_the_end(box) == [(0.0, CloseAction(end))]
    box.put([SendAction(b"ab", Delivery(join=5, within=60.0)), SendAction(b"cdef", Delivery(length=2, end=end))], 0.0)
    assert until_the_end(box) == [(0.0, SendAction(b"abcd")), (0.0, CloseAction(end))]


def test_forgotten() -> None:
    box = outbox()
    box.put([
        SendAction(b"a", Delivery(pause=1.0)),
        SendAction(b"b", Delivery(gates=["g"])),
        SendAction(b"c", Delivery(swap=True, within=1.0)),
        SendAction(b"d", Delivery(join=2, within=1.0)),
        WaitAction(1.0),
    ], 0.0)  # fmt: skip
    box.clear()
    box.release("g", 0.0)
    assert not box
    assert box.next_due() is None
    assert list(box.due(100.0)) == []


# ---------------------------------------------------------------------------- out of order


@settings(deadline=None)
@given(st.integers(0, 9))
def test_who_is_put_aside_goes_out_behind_the_next(number: int) -> None:
    box = outbox()
    box.put(numbered([Delivery(swap=True, within=60.0)] * number), 0.0)
    expected = [index ^ 1 for index in range(number - number % 2)]
    assert list(box.due(0.0)) == [SendAction(b"<%03d>" % index) for index in expected]
    assert list(box.due(60.0)) == [SendAction(b"<%03d>" % (number - 1))] * (number % 2)


def test_who_is_put_aside_does_not_wait_for_ever() -> None:
    box = outbox()
    box.put([SendAction(b"a", Delivery(swap=True, within=2.0))], 1.0)
    assert box.next_due() == 3.0
    assert list(box.due(2.9)) == []
    assert list(box.due(3.0)) == [SendAction(b"a")]


def test_who_waits_for_others_goes_out_when_none_can_come() -> None:
    box = outbox()
    box.put([SendAction(b"a", Delivery(swap=True, within=60.0))], 0.0)
    box.end(0.0)
    assert list(box.due(0.0)) == [SendAction(b"a")]
    box.put([SendAction(b"a", Delivery(join=3, within=60.0, pause=1.0)), SendAction(b"b")], 0.0)
    box.end(0.0)
    assert until_the_end(box) == [(1.0, SendAction(b"ab"))]


def test_held_until_every_gate_opens_while_others_pass() -> None:
    box = outbox()
    box.put(
        [SendAction(b"a", Delivery(gates=["g", "h"])), SendAction(b"b"), SendAction(b"c", Delivery(gates=["h"]))], 0.0
    )
    assert list(box.due(0.0)) == [SendAction(b"b")]
    box.release("g", 1.0)
    assert list(box.due(1.0)) == []
    box.release("h", 2.0)
    assert list(box.due(2.0)) == [SendAction(b"a"), SendAction(b"c")]


def test_together() -> None:
    box = outbox()
    box.put(
        [SendAction(b"a", Delivery(join=3, within=5.0)), SendAction(b"b", Delivery(join=3, within=5.0, pause=1.0))], 0.0
    )
    assert list(box.due(4.9)) == []
    box.put([SendAction(b"c")], 4.9)
    assert until_the_end(box, 4.9) == [(5.9, SendAction(b"abc"))]
    box.put([SendAction(b"a", Delivery(join=3, within=5.0))], 10.0)
    assert until_the_end(box, 10.0) == [(15.0, SendAction(b"a"))]


def test_two_together() -> None:
    box = outbox()
    box.put(numbered([Delivery(join=2, within=5.0)] * 3), 0.0)
    assert until_the_end(box) == [(0.0, SendAction(b"<000><001>")), (5.0, SendAction(b"<002>"))]


def test_a_wait_comes_when_it_is_over_and_others_wait_behind_it() -> None:
    box = outbox()
    box.put([WaitAction(2.0), SendAction(b"a")], 0.0)
    assert until_the_end(box) == [(2.0, WaitAction(2.0)), (2.0, SendAction(b"a"))]
    box.put([WaitAction(2.0, ("g",)), SendAction(b"a")], 0.0)
    assert until_the_end(box) == [(0.0, SendAction(b"a"))]
    box.release("g", 5.0)
    assert until_the_end(box, 5.0) == [(7.0, WaitAction(2.0, ("g",)))]


def test_a_large_answer_in_small_pieces_takes_no_more_room_than_itself() -> None:
    tracemalloc.start()
    try:
        box = outbox()
        box.put(
            [SendAction(bytes(8_000_000), Delivery(cuts=[chunks_lazily(2), chunks_lazily(1)])), SendAction(b"behind")],
            0.0,
        )
        first = list(itertools.islice(box.due(0.0), 1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first == [SendAction(b"\0")] * 1000
    assert box.next_due() == 0.0
    assert peak < 10_000_000


def chunks_lazily(size: int) -> Callable[[bytes], Iterator[tuple[float, bytes]]]:
    """Return what cuts bytes into equal parts, one after the other."""
    return lambda data: ((0.0, data[start : start + size]) for start in range(0, len(data), size))
