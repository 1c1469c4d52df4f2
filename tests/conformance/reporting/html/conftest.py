"""Recorded runs of the suite against two relays, their pages, and a browser that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cbspec_conformance.reporting.html.page import page
from cbspec_conformance.reporting.stream import RecordedRun
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
    """Return the recorded runs, and as "compared" the broken one against the clean one."""
    clean, broken = recorded["clean"], recorded["broken"]
    return {
        "clean": RecordedRun.load(clean),
        "broken": RecordedRun.load(broken),
        "compared": RecordedRun.load(broken, clean),
    }


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
