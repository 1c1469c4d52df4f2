"""The relays and their groups."""

from __future__ import annotations

from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS
from tests.adequacy.subjects import AUTO, TRANSPORTS, SubjectKind, groups, subjects


def test_every_variation_is_judged() -> None:
    ids = {kind: {subject.id for subject in subjects() if subject.kind is kind} for kind in SubjectKind}
    assert ids[SubjectKind.DEVIATION] == set(DEVIATIONS)
    assert ids[SubjectKind.VARIANT] == set(VARIANTS)
    assert ids[SubjectKind.OPEN_POINT] == set(OPEN_POINTS)
    assert all(subject.transports for subject in subjects())


def test_everywhere_means_both_transports() -> None:
    everywhere = {subject.id: subject.transports for subject in subjects(everywhere=True)}
    assert everywhere["hello-version-missing"] == TRANSPORTS
    assert everywhere["websocket-heartbeat-unanswered"] == (AUTO,)


def test_a_group_holds_no_two_relays_that_differ_in_the_same_part() -> None:
    made = groups(subjects())
    assert sorted(subject.id for group in made for subject in group) == sorted(subject.id for subject in subjects())
    for group in made:
        assert len({(subject.kind, subject.transports) for subject in group}) == 1
        parts = [part for subject in group for part in subject.parts]
        assert len(group) == 1 or (len(set(parts)) == len(parts) and group[0].kind is not SubjectKind.DEVIATION)
