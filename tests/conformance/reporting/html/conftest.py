"""Recorded runs of the suite against two relays, their pages, and a browser that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from cbspec.catalogue.requirements import Level
from cbspec_conformance.machines.machine import Difference, MachineData, machine_of
from cbspec_conformance.reporting.events import MachineLearned
from cbspec_conformance.reporting.html.page import page
from cbspec_conformance.reporting.stream import RecordedRun, line_of
from tests.conformance.commands import verify
from tests.simulator.control.page.browser import Browser, opened
from tests.support.processes import npm_file, served

HOSTILE = "</script><img src=x onerror=document.title='owned'>\u202e\x07${alert(1)}"
"""The message of every error of the broken relay; the last characters change the text's direction and ring."""

CASES = "test_1_hello or test_2_auth or test_3_tunnel or test_4_heartbeat"
_CONFIG = f"""
[[faults]]
kind = "member"
member = "message"
value = {json.dumps(HOSTILE)}
when = {{ message = "error" }}
"""


@pytest.fixture(scope="package")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the results of a clean relay, and of one with three deviations that answers with hostile texts."""
    return {
        "clean": _run(tmp_path_factory.mktemp("clean")),
        "broken": _run(
            tmp_path_factory.mktemp("broken"),
            *("--deviation", "hello-version-2.0", "--deviation", "expired-accepted"),
            *("--deviation", "tunnel-id-missing-accepted"),
            config=_CONFIG,
        ),
    }


def _run(folder: Path, *options: str, config: str = "") -> Path:
    results = folder / "run.jsonl"
    with served(folder, *options, config=config) as relay:
        options = ("--profile", str(relay.profile_file), "-k", CASES, "--effort", "quick")
        done = verify(*options, "--results", str(results))
    assert results.exists(), done.text
    assert "cut off" not in done.text
    return results


@pytest.fixture(scope="package")
def runs(recorded: dict[str, Path]) -> dict[str, RecordedRun]:
    """Return the recorded runs, as "compared" the broken one against the clean one, and as "learned" with a machine."""
    clean, broken = recorded["clean"], recorded["broken"]
    return {
        "clean": RecordedRun.load(clean),
        "broken": RecordedRun.load(broken),
        "compared": RecordedRun.load(broken, clean),
        "learned": _with_a_machine(RecordedRun.load(broken)),
    }


def _with_a_machine(run: RecordedRun) -> RecordedRun:
    """Return a run with a machine of three states, one case of which is named after a difference."""
    inputs = ("hello", "auth A", "auth, expired", HOSTILE)
    names = ("new", f"greeted {HOSTILE}", "authenticated as A")

    def step(state: int, letter: str) -> tuple[str, int]:
        then = {(0, "hello"): 1, (1, "auth A"): 2, (1, "auth, expired"): 2}.get((state, letter), state)
        return ("auth_response" if then == 2 else "hello_response" if then > state else HOSTILE), then

    machine = machine_of(inputs, 0, step, "127.0.0.1:1", names.__getitem__)
    word, outputs = ("hello", "auth, expired"), ("hello_response", "auth_response")
    differences = (
        Difference(word, outputs, "error invalid_token", "CB-AUT-005", Level.MUST, (HOSTILE,)),
        Difference(("hello",), (HOSTILE,), "hello_response", "CB-HEL-102", Level.INFO),
        Difference((HOSTILE,), (HOSTILE,), "x", "", Level.INFO),
    )
    earlier = machine_of(inputs[:3], 0, lambda state, letter: ("closed", 0), HOSTILE)
    event = MachineLearned(9, 42, 4, MachineData.of(machine), "", differences, {"x": HOSTILE}, MachineData.of(earlier))
    case = next(case for case in run.cases if case.event.requirement == "CB-AUT-005")
    named = replace(case, event=structs.replace(case.event, name=f"learn::{'; '.join(word)}"))
    cases = [named if each is case else each for each in run.cases]
    return replace(run, cases=cases, machine=msgspec.json.decode(line_of(event), type=MachineLearned))


@pytest.fixture(scope="package")
def pages(runs: dict[str, RecordedRun]) -> dict[str, bytes]:
    """Return the pages of the runs."""
    return {name: page(run) for name, run in runs.items()}


@pytest.fixture(scope="package")
def window() -> Iterator[Browser]:
    with opened() as browser:
        yield browser


@pytest.fixture
def show(window: Browser, tmp_path: Path) -> Iterator[Callable[[bytes, str], Browser]]:
    """Return a function that opens a page from a file, at a fragment; at the end the browser has no complaints."""

    def opens(content: bytes, fragment: str = "") -> Browser:
        (tmp_path / "page.html").write_bytes(content)
        window.driver.get("about:blank")
        window.driver.get(f"file://{tmp_path}/page.html{fragment}")
        window.until("!document.querySelector('.tools').hidden")
        return window

    window.complaints()
    window.scheme("light")
    window.size(1280, 900)
    yield opens
    assert window.complaints() == []
    window.leave()


@pytest.fixture(scope="package")
def axe() -> str:
    """Return the source of axe-core."""
    return npm_file("axe-core/axe.min.js").read_text(encoding="utf-8")
