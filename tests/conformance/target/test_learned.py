"""What the processes of a run tell each other."""

from __future__ import annotations

from cbspec.profile.profile import Profile
from cbspec_conformance.target.learned import learn, learned
from cbspec_conformance.target.relay import SharedParts


def test_processes_learn_from_each_other_and_lose_nothing() -> None:
    parent, first, second = (SharedParts(Profile()) for _ in range(3))
    known = [learned(first), learned(second)]
    first.tempo.waited_for_nothing("an answer")
    first.ledger.whole["tunnels of a"] = 3
    first.rates_used["a"] = 1.0
    second.ledger.whole |= {"tunnels of b": 4}
    second.ledger.pause, second.tempo.late = 2.0, True
    for each, before in ((first, known[0]), (second, known[1])):
        learn(parent, learned(each, before))
    parent.ledger.whole["tunnels of b"] = 9  # later than what the first knows
    learn(first, learned(parent))
    first.ledger.whole["tunnels of a"] = 2
    learn(parent, learned(first, learned(parent)))
    assert parent.ledger.whole == {"tunnels of a": 2, "tunnels of b": 9}
    assert (parent.ledger.pause, parent.tempo.late, parent.rates_used) == (2.0, True, {"a": 1.0})
    assert parent.tempo.was_silent("an answer")
    second.rates_used["b"] = 1.0
    assert parent.rates_used == {"a": 1.0}  # nothing is shared by reference
