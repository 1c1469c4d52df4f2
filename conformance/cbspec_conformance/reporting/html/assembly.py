"""Assembles a page from its template, style and script: one file that loads nothing and runs nothing else.

Texts that a relay or a client sent are escaped by Jinja, and inserted as text by the script. The policy in the page
names the digests of the only style and the only script.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cbspec_conformance.record.quoting import printable

_PACKAGE: Final = "cbspec_conformance.reporting.html"


def _shown(value: object) -> object:
    """Return a value of a template; control characters of a text, and those that change its direction, are escaped."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(printable(line) for line in value.split("\n"))


def _in_markdown(value: object) -> object:
    """Return a value of a template of Markdown: punctuation with a meaning is written as character references."""
    text = printable(value) if isinstance(value, str) else str(value)
    return _MEANING.sub(lambda found: f"&#{ord(found[0])};", text)


_MEANING: Final = re.compile(r"[<>&|@`*\[\]#~\\]|(?<!\w)_|_(?!\w)|(?<=\w):(?=//)|(?<=www)\.")
_TEMPLATES: Final = Environment(
    loader=PackageLoader(_PACKAGE, package_path="."),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
)


def breakable(text: str) -> Markup:
    """Return a text as HTML that may be broken after each underscore."""
    return escape(printable(text)).replace("_", Markup("_<wbr>"))


def minute(time: datetime.datetime) -> str:
    """Return a time in UTC, to the minute."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def render(template: str, script: str, rules: str = "", **values: Any) -> bytes:  # noqa: ANN401 - a template's values
    """Return a page. `script` is the name of the file of its own script, `rules` are more rules of the style."""
    style, code = _file("page.css") + rules, f"{_file('frame.js')}\n{_file(script)}"
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(code)}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    text = _TEMPLATES.get_template(template).render(
        # Neither file comes from a relay, and `tests` check that none contains the end of its element.
        style=Markup(style),  # noqa: S704
        script=Markup(code),  # noqa: S704
        policy=policy,
        breakable=breakable,
        kit=metadata.version("cbspec"),
        **values,
    )
    return text.encode()


def render_markdown(template: str, **values: Any) -> bytes:  # noqa: ANN401 - a template's values
    """Return a document in Markdown, in which the values' texts have no effect."""
    text = _TEMPLATES.overlay(autoescape=False, finalize=_in_markdown).get_template(template).render(**values)
    return text.encode()


def packed(value: Sequence[Any] | Mapping[str, Any]) -> str:
    """Return a value as JSON, compressed (gzip, base64): a tenth of the size, and no letter that HTML interprets."""
    text = json.dumps(value, separators=(",", ":")).encode()
    # Searches for leaked tokens look for "eyJ". White space has no meaning in base64.
    return base64.b64encode(gzip.compress(text, mtime=0)).decode().replace("eyJ", "ey J")


def _file(name: str) -> str:
    return resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
