"""Which case may begin while others run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.runner.reservations import Needs
from cbspec_conformance.runner.schedule import Schedule

NEEDS = st.builds(Needs, st.booleans(), st.frozensets(st.sampled_from("abc"), max_size=2), st.booleans())


@given(
    needs=st.lists(NEEDS, max_size=12).map(lambda needs: sorted(needs, key=lambda each: (each.late, each.alone))),
    postponing=st.sets(st.integers(0, 11)),
    data=st.data(),
)
def test_cases_share_nothing_that_one_of_them_needs(
    needs: list[Needs], postponing: set[int], data: st.DataObject
) -> None:
    schedule, running, began, postponed = Schedule(needs), list[int](), list[int](), set[int]()
    while schedule.left:
        if (case := schedule.begin()) is not None:
            alone = needs[case].alone or case in postponed
            assert schedule.is_alone(case) == alone
            assert not alone or not running
            assert not any(needs[other].alone or other in postponed for other in running)
            assert not any(needs[case].names & needs[other].names for other in running)
            assert all(needs[other].late == needs[case].late for other in running)
            running.append(case)
            began += [case] * (case not in postponed)
            continue
        # Something always runs: no case waits for ever.
        case = data.draw(st.sampled_from(running))
        running.remove(case)
        if case in postponing and not schedule.is_alone(case):
            postponing.discard(case)
            postponed.add(case)
            schedule.postpone(case)
        else:
            schedule.end(case)
    assert sorted(began) == [*range(len(needs))]
    for name in "abc":  # none overtakes another
        order = [case for case in began if name in needs[case].names]
        assert order == sorted(order)
