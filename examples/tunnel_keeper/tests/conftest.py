"""Shared fixtures: a keeper with short intervals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tunnel_keeper import Keeper

from cbspec_simulator import LocalRelay

Make = Callable[..., Keeper]


@pytest.fixture
def keeper_of() -> Make:
    """Return a function that makes a keeper for a relay, with short intervals."""

    def make(relay: LocalRelay, **known: object) -> Keeper:
        quick = {"heartbeat": 0.01, "patience": 5.0, "pause": 0.01, "settled": 0.0, "fetch_token": relay.token, **known}
        return Keeper(relay.host, relay.port, relay.ssl_context(), **quick)

    return make
