"""The page's files, as they are served."""

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
"""What is where: the file, and its type. There is no secret in them, and everybody may have them."""


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
