"""Counters of a load test, over several processes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cbspec_client.conversation import Blame
from cbspec_client.score import BreachCount, Score

COUNTS = st.integers(0, 10**6)
BROKEN = st.dictionaries(
    st.sampled_from(["CB-TUN-002", "CB-MSG-004"]), st.builds(BreachCount, COUNTS, st.text(), st.text())
)
SCORES = st.builds(Score, begun=COUNTS, well=COUNTS, failed=COUNTS, broken=BROKEN)


@given(SCORES)
def test_a_score_is_read_from_json_as_written(score: Score) -> None:
    assert msgspec.convert(msgspec.to_builtins(score), Score) == score


@given(st.lists(SCORES, max_size=4))
def test_scores_add_up(scores: list[Score]) -> None:
    total = Score.sum(scores)
    assert (total.ended, total.open) == (sum(s.ended for s in scores), sum(s.open for s in scores))
    for requirement, broken in total.broken.items():
        assert broken.times == sum(s.broken[requirement].times for s in scores if requirement in s.broken)
    total.broken = {"CB-TUN-002": BreachCount(1, "this", "that")}
    total.blame(Blame("CB-TUN-002", "this", "something else"))
    assert total.broken == {"CB-TUN-002": BreachCount(2, "this", "that")}
