"""The matrix over implementations: what the page and the Markdown say, and what hostile names do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from cbspec.cli import main
from cbspec.exit_codes import ExitCode
from tests.conformance.reporting.html.test_page import AXE, Outline
from tests.simulator.control.page.browser import Browser

LEVELS = {"MUST", "SHOULD", "INFO"}
NAME = "a|<b>@c</b> `d` [e](https://f.example)"


@pytest.fixture
def files(recorded: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Return the page and the Markdown of both relays."""
    page, markdown = tmp_path / "matrix.html", tmp_path / "matrix.md"
    arguments = (f"first={recorded['clean']}", f"{NAME}={recorded['broken']}")
    assert main(["matrix", *arguments, "--html", str(page), "--markdown", str(markdown)]) == 0
    return page, markdown


def test_the_markdown_has_every_requirement_and_texts_stay_texts(files: tuple[Path, Path]) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(files[1].read_text(encoding="utf-8"))
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]
    by_id = {row[0][:10]: row for row in rows if row and row[0].startswith("CB-")}
    assert len([row for row in rows if len(row) == 4 and row[1] in LEVELS]) == 231
    assert by_id["CB-TUN-005"][1:] == ["MUST", "✓", "✕ failed: a tunnel_response with status &quot;ok&quot;"]
    assert re.search(r"CB-HEL-102.*</td>\n<td>version 0.9</td>\n<td>.*version 1.0</td>\n<td>.*version 2.0</td>", html)
    assert html.count("<th>a|&lt;b&gt;@c&lt;/b&gt; `d` [e](https://f.example)</th>") > 5
    assert "<a " not in html


@pytest.mark.timeout(300)
def test_the_page_shows_the_differences(files: tuple[Path, Path], show: Callable[..., Browser], axe: str) -> None:
    content = files[0].read_bytes()
    Outline(content.decode())
    browser = show(content)
    browser.scheme("dark")
    browser.size(420, 900)
    shown = "[...document.querySelectorAll('[data-row]')].filter((each) => !each.hidden)"
    assert browser.js(f"{shown}.length") == 231
    browser.press("d")
    browser.until(f"{shown}.length < 10")
    texts = browser.js(f"{shown}.map((each) => each.textContent)")
    assert [re.findall(r"CB-\w+-\d+|passed|failed|warned", text) for text in texts] == [
        ["CB-HEL-004", "passed", "warned"],
        ["CB-AUT-005", "passed", "failed"],
        ["CB-TUN-005", "passed", "failed"],
        ["CB-TUN-015", "passed"],
    ]
    assert NAME in browser.text(".summary")
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")
    browser.driver.execute_script(axe)
    assert browser.driver.execute_async_script(AXE) == []


def test_unusable_results_are_named(
    recorded: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = recorded["clean"]
    client = tmp_path / "client.jsonl"
    client.write_text(clean.read_text(encoding="utf-8").replace('"role":"relay"', '"role":"client"', 1))
    for arguments, words in (
        ([f"a={tmp_path}/none"], "none: No such file"),
        ([str(clean), str(client)], "some results are of relays and others of clients"),
    ):
        assert main(["matrix", *arguments]) == ExitCode.WRONG_USE
        assert words in capsys.readouterr().err
    assert main(["matrix", str(clean), str(clean)]) == 0
    assert re.search(r"\| 127.0.0.1:\d+ \(run\) \| ✓ passed", capsys.readouterr().out)
