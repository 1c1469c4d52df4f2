"""What a kind is made of."""

from __future__ import annotations

import random

from cbspec_simulator.faults.kind import Body, Delivery, Greeting, Handling, Kind, Layer, Strike
from cbspec_simulator.faults.when import Direction, Occasion


def _edit(body: Body, strike: Strike) -> list[Body]:
    return [body]


def _connect(greeting: Greeting, strike: Strike) -> None:
    greeting.deaf = True


def _request(handling: Handling, strike: Strike) -> None:
    handling.copies = 0


def test_where_a_kind_can_strike_follows_from_what_it_does() -> None:
    assert Kind("k", Layer.MESSAGE, "", "", edit=_edit).directions == (Direction.ANSWER,)
    everywhere = Kind("k", Layer.MESSAGE, "", "", edit=_edit, request=_request, connect=_connect)
    assert everywhere.directions == (Direction.ANSWER, Direction.REQUEST, Direction.CONNECT)
    assert Kind("k", Layer.TLS, "", "", connect=_connect).directions == (Direction.CONNECT,)
    assert Kind("k", Layer.TRANSPORT, "", "", standing=True).directions == (Direction.CONNECT,)


def test_a_strike_gives_the_parameters() -> None:
    kind = Kind("k", Layer.MESSAGE, "", "", edit=_edit)
    strike = Strike("it", kind, {"x": 1}, Occasion(Direction.ANSWER, 1), random.Random(0))  # noqa: S311 - no secret
    assert strike["x"] == 1


def test_what_nothing_is_done_to_is_as_ever() -> None:
    assert not Greeting().hangs
    assert Greeting(deaf=True).hangs
    assert Greeting(stall_after=0).hangs
    assert Handling() == Handling(1, 0.0, [], [], [], [], None)
    assert Delivery() == Delivery(0.0, [], [], swap=False, join=1, within=0.0, length=None, end=None)
