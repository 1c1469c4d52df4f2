"""The relays, and which of them can be one."""

from __future__ import annotations

from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS
from tests.adequacy.subjects import AUTO, TRANSPORTS, Kind, groups, subjects


def test_everything_that_has_a_name_is_judged() -> None:
    ids = {kind: {subject.id for subject in subjects() if subject.kind is kind} for kind in Kind}
    assert ids[Kind.DEVIATION] == set(DEVIATIONS)
    assert ids[Kind.VARIANT] == set(VARIANTS)
    assert ids[Kind.OPEN_POINT] == set(OPEN_POINTS)
    assert all(subject.transports for subject in subjects())


def test_everywhere_is_on_both_transports() -> None:
    everywhere = {subject.id: subject.transports for subject in subjects(everywhere=True)}
    assert everywhere["hello-version-missing"] == TRANSPORTS
    assert everywhere["websocket-heartbeat-unanswered"] == (AUTO,)


def test_groups_hold_each_relay_once_and_never_two_that_change_the_same() -> None:
    made = groups(subjects())
    assert sorted(subject.id for group in made for subject in group) == sorted(subject.id for subject in subjects())
    for group in made:
        assert len({(subject.kind, subject.transports) for subject in group}) == 1
        parts = [part for subject in group for part in subject.parts]
        assert len(group) == 1 or (len(set(parts)) == len(parts) and group[0].kind is not Kind.DEVIATION)
