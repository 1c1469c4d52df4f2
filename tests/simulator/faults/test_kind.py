"""What a kind is made of."""

from __future__ import annotations

import random

from cbspec_simulator.faults.kind import Body, Delivery, FaultKind, FaultLayer, Greeting, Handling, Strike
from cbspec_simulator.faults.when import MessageDirection, Occasion


def _edit(body: Body, strike: Strike) -> list[Body]:
    return [body]


def _connect(greeting: Greeting, strike: Strike) -> None:
    greeting.deaf = True


def _request(handling: Handling, strike: Strike) -> None:
    handling.copies = 0


def test_where_a_kind_can_strike_follows_from_what_it_does() -> None:
    assert FaultKind("k", FaultLayer.MESSAGE, "", "", edit=_edit).directions == (MessageDirection.ANSWER,)
    everywhere = FaultKind("k", FaultLayer.MESSAGE, "", "", edit=_edit, request=_request, connect=_connect)
    assert everywhere.directions == (MessageDirection.ANSWER, MessageDirection.REQUEST, MessageDirection.CONNECT)
    assert FaultKind("k", FaultLayer.TLS, "", "", connect=_connect).directions == (MessageDirection.CONNECT,)
    assert FaultKind("k", FaultLayer.TRANSPORT, "", "", standing=True).directions == (MessageDirection.CONNECT,)


def test_a_strike_gives_the_parameters() -> None:
    kind = FaultKind("k", FaultLayer.MESSAGE, "", "", edit=_edit)
    strike = Strike("it", kind, {"x": 1}, Occasion(MessageDirection.ANSWER, 1), random.Random(0))  # noqa: S311 - no secret
    assert strike["x"] == 1


def test_what_nothing_is_done_to_is_as_ever() -> None:
    assert not Greeting().hangs
    assert Greeting(deaf=True).hangs
    assert Greeting(stall_after=0).hangs
    assert Handling() == Handling(1, 0.0, [], [], [], [], None)
    assert Delivery() == Delivery(0.0, [], [], swap=False, join=1, within=0.0, length=None, end=None)
