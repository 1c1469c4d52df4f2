"""The page's files: what is served, and that they ask nobody else for anything."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from fastapi import FastAPI

from cbspec_simulator.control import page
from cbspec_simulator.control.page.routes import FILES, add_page

CONTENTS = {path: files(page).joinpath(name).read_text(encoding="utf-8") for path, (name, _) in FILES.items()}


def test_every_file_is_served_and_isnt_described_as_part_of_the_api() -> None:
    api = FastAPI()
    add_page(api)
    served = {route.path for route in api.routes if not getattr(route, "include_in_schema", True)}  # type: ignore[attr-defined]
    assert set(FILES) <= served
    assert api.openapi()["paths"] == {}
    names = {each.name for each in files(page).iterdir() if each.name.endswith((".html", ".css", ".js", ".svg"))}
    assert names == {name for name, _ in FILES.values()}


@pytest.mark.parametrize("path", FILES)
def test_nothing_is_asked_of_anybody_else(path: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", CONTENTS[path]))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "a name, not an address"


def test_the_html_names_what_is_served() -> None:
    named = set(re.findall(r'(?:src|href)="([^"]*)"', CONTENTS["/"]))
    assert {f"/{name}" for name in named} == set(FILES) - {"/"}
    assert not re.search(r"<style|<script(?! type=\"module\" src)|\son\w+=|\sstyle=", CONTENTS["/"])


def test_no_text_becomes_html() -> None:
    script = CONTENTS["/page/page.js"]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", script
    )


def test_every_control_has_a_label() -> None:
    html = CONTENTS["/"]
    for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", html):
        name = re.search(r'id="([^"]*)"', tag)
        assert name
        inside = re.search(rf"<label>[^<]*(?:<[^/][^<]*)?{re.escape(tag)}", html)
        assert "aria-label=" in tag or f'for="{name[1]}"' in html or inside, tag
