"""The page's files are served, load nothing from other hosts, and turn no text into HTML."""

from __future__ import annotations

import re
from importlib.resources import files

from cbspec_simulator.control import page
from cbspec_simulator.control.page.routes import FILES

CONTENTS = {path: files(page).joinpath(name).read_text(encoding="utf-8") for path, (name, _) in FILES.items()}
HTML = CONTENTS["/"]


def test_every_file_is_served() -> None:
    names = {each.name for each in files(page).iterdir() if each.name.endswith((".html", ".css", ".js", ".svg"))}
    assert names == {name for name, _ in FILES.values()}


def test_nothing_is_loaded_from_other_hosts() -> None:
    for path, content in CONTENTS.items():
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", content))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path  # the name of a namespace
    named = set(re.findall(r'(?:src|href)="([^"]*)"', HTML))
    assert {f"/{name}" for name in named} == set(FILES) - {"/"}


def test_no_text_becomes_html() -> None:
    assert not re.search(r"<style|<script(?! type=\"module\" src)|\son\w+=|\sstyle=", HTML)
    script = CONTENTS["/page/page.js"]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", script
    )


def test_every_input_has_a_label() -> None:
    for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", HTML):
        name = re.search(r'id="([^"]*)"', tag)
        assert name
        inside = re.search(rf"<label>[^<]*(?:<[^/][^<]*)?{re.escape(tag)}", HTML)
        assert "aria-label=" in tag or f'for="{name[1]}"' in HTML or inside, tag
