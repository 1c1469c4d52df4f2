"""One test for each situation of a client: it fails if the client breaks a requirement in it."""

from __future__ import annotations

import pytest

from cbspec_conformance.client.plugin import ClientSuite, situations_of
from cbspec_conformance.client.situations import Situation


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the test once for each situation of the run."""
    chosen = situations_of(metafunc.config)
    metafunc.parametrize("situation", chosen, ids=[row.name for row in chosen])


def test_situation(situation: Situation, client_suite: ClientSuite, request: pytest.FixtureRequest) -> None:
    """Wait for the situation; the plugin sets the outcome from its findings."""
    vars(request.node)["cbspec_findings"] = client_suite.result(situation)
