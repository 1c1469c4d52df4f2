"""Which case may begin while others run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.runner.reservations import Needs
from cbspec_conformance.runner.schedule import Schedule

NEEDS = st.builds(Needs, st.booleans(), st.frozensets(st.sampled_from("abc"), max_size=2))


@given(
    cases=st.lists(st.tuples(NEEDS, st.integers(0, 1)), max_size=12).map(
        lambda cases: sorted(cases, key=lambda case: (case[1], case[0].alone))
    ),
    asking=st.sets(st.integers(0, 11)),
    data=st.data(),
)
def test_cases_share_nothing_that_one_of_them_needs(
    cases: list[tuple[Needs, int]], asking: set[int], data: st.DataObject
) -> None:
    needs, stages = [need for need, _ in cases], [stage for _, stage in cases]
    schedule, running, waiting, began = Schedule(needs, stages), list[int](), set[int](), list[int]()
    alone: int | None = None
    while schedule.left:
        if (case := schedule.begin()) is not None:
            assert alone is None
            assert not needs[case].alone or not running
            assert not any(needs[case].names & needs[other].names for other in running)
            assert all(stages[other] == stages[case] for other in running)
            running.append(case)
            began.append(case)
            alone = case if needs[case].alone else None
            continue
        if (case := schedule.grant()) is not None:
            assert {*running} == waiting  # all others wait for their own turn alone
            assert alone is None
            alone = case
            waiting.discard(case)
        # Something always runs: no case waits for ever.
        case = data.draw(st.sampled_from(sorted({*running} - waiting)))
        if case in asking and case != alone:
            asking.discard(case)
            waiting.add(case)
            schedule.ask(case)
        else:
            running.remove(case)
            alone = None if alone == case else alone
            schedule.end(case)
    assert sorted(began) == [*range(len(cases))]
    for name in "abc":  # none overtakes another
        order = [case for case in began if name in needs[case].names]
        assert order == sorted(order)
