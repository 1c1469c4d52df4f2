"""Who is let in to the controls, and what every answer tells browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.guard import HEADERS
from cbspec_simulator.settings.config import ControlSettings, Listen
from tests.simulator.control.test_api import ask, call


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=0))) as simulator:
        yield simulator


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/page/page.js"])
async def test_every_answer_tells_browsers_to_be_strict(simulator: Simulator, path: str) -> None:
    _, _, headers = await call(simulator, "GET", path)
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "http://127.0.0.1", "http://localhost:1", "null"])
async def test_another_sites_page_is_refused(simulator: Simulator, origin: str) -> None:
    await ask(simulator, "POST", "/drain")
    status, said = await ask(simulator, "POST", "/reset", Origin=origin)
    assert (status, said["error"]) == (403, f"a page of {origin} has no business here")
    assert simulator.controls.state()["status"] == "draining"


async def test_its_own_page_is_served(simulator: Simulator) -> None:
    assert simulator.control_url
    assert (await ask(simulator, "POST", "/reset", Origin=simulator.control_url))[0] == 204


async def test_the_page_is_had_without_the_token_and_nothing_else() -> None:
    config = Config(listen=Listen(port=0), control=ControlSettings(port=0, token="let-me-in"))
    async with Simulator(config) as simulator:
        assert (await ask(simulator, "GET", "/"))[0] == 200
        assert (await ask(simulator, "GET", "/page/page.js"))[0] == 200
        for path in ("/events", "/health", "/openapi.json", "/page/../health", "//", "/page/"):
            assert (await ask(simulator, "GET", path))[0] == 401, path
        assert (await ask(simulator, "GET", "/health", Authorization="Bearer let-me-in"))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8081", 200),
        ("localhost:8081", 200),
        ("[::1]:8081", 200),
        ("[::1]", 200),
        ("elsewhere.example", 400),
        ("elsewhere.example:8081", 400),
        ("127.0.0.1.elsewhere.example", 400),
        ("localhost:8081.elsewhere.example", 400),
        ("", 400),
    ],
)
async def test_a_name_that_leads_to_loopback_is_refused(simulator: Simulator, host: str, status: int) -> None:
    found, said = await ask(simulator, "GET", "/health", Host=host)
    assert found == status
    assert status == 200 or said["error"].startswith("the controls are asked for by one of 127.0.0.1, localhost, [::1]")
