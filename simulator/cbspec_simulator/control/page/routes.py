"""The files of the web page."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from fastapi import FastAPI, Request, Response

FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""File and content type by path; they contain no secret, so they are public."""


def add_page(api: FastAPI) -> None:
    """Serve the page at /."""
    for path in FILES:
        api.add_route(path, _serving(path), include_in_schema=False)


def _serving(path: str) -> Callable[[Request], Response]:
    name, media_type = FILES[path]
    content = files(__package__).joinpath(name).read_bytes()

    def serve(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return serve
