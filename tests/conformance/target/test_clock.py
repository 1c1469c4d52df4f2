"""The difference of clocks: read from a Date, found by tokens of other times, and kept in every token and forgery."""

from __future__ import annotations

import pytest

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import IssuerSettings
from cbspec.tokens.forgery import by_requirement
from cbspec.tokens.jws import claims_of
from cbspec_conformance.target.clock import ahead, fitting_shift, in_words

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:45 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:18:20 GMT", 300.0),
        ("Tue, 14 Nov 2023 22:08:20 GMT", -300.0),
        ("Tuesday, 14-Nov-23 22:18:20 GMT", 300.0),
        ("yesterday", 0.0),
        ("", 0.0),
    ],
)
def test_a_date_shows_a_notable_difference(date: str, found: float) -> None:
    assert ahead(date, NOW) == found


def test_the_measured_shift_is_tried_first() -> None:
    tried: list[float] = []

    def accepted(shift: float) -> bool:
        tried.append(shift)
        return shift <= -600

    assert fitting_shift(-300.0, accepted) == -600
    assert tried == [-300.0, -120.0, -600.0]
    assert fitting_shift(0.0, lambda _: False) is None


def test_words() -> None:
    assert in_words(-45.0) == "45 seconds behind the suite's clock"
    assert in_words(300.0) == "5 minutes ahead of the suite's clock"


def test_tokens_are_backdated_and_moved() -> None:
    issuer = Issuer(IssuerSettings(development=True, backdate=45.0), lambda: NOW)
    assert claims_of(issuer.valid("a"))["iat"] == NOW - 45
    issuer.shift = -600.0
    moved = claims_of(issuer.valid("a"))
    assert (moved["iat"], moved["exp"]) == (NOW - 645, NOW + 3000)


@pytest.mark.parametrize(("shift", "more"), [(0.0, 300), (-300.0, 0)])
def test_a_doubtful_clock_moves_forgeries_further_away(shift: float, more: int) -> None:
    issuer = Issuer(IssuerSettings(development=True), lambda: NOW)
    issuer.clock, issuer.shift = -300.0, shift
    (expired, *_), (early, *_) = by_requirement("CB-AUT-005"), by_requirement("CB-AUT-006")
    now = NOW + shift
    assert claims_of(str(issuer.forged(expired, "a")))["exp"] == now - 660 - more
    assert claims_of(str(issuer.forged(early, "a")))["nbf"] == now + 660 + more
