"""The documentation site (`make site`): Sphinx reads the repository's Markdown as it is, with README.md as front page.

The lists of links in the README's section "Documents" are the navigation. A document that no list names, and a link to
something that doesn't exist, is a warning and fails the build.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "cbspec"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "examples/**README.md", "schemas/README.md"]
exclude_patterns = [".*"]
myst_heading_anchors = 3
highlight_language = "none"

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

_MERMAID = Path(__file__).parents[1] / "tests/npm/node_modules/mermaid/dist/mermaid.min.js"
html_static_path = ["site", *map(str, _MERMAID.parent.glob(_MERMAID.name))]  # without npm, diagrams are shown as text
html_css_files = ["site.css"]


def _add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add a hidden table of contents for each list of links in the front page's section "Documents"."""
    if page != root_doc:
        return
    documents = source[0].partition("\n## Documents\n")[2]
    for caption, text in re.findall(r"^### ([^\n]+)\n(.*?)(?=^###? |\Z)", documents, re.MULTILINE | re.DOTALL):
        links = "\n".join(re.findall(r"\[[^]]+\]\(([^)#]+?)\.md\)", text))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{links}\n```\n"


def _draw_diagrams(app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Load Mermaid on the pages that have a diagram."""
    if _MERMAID.exists() and "highlight-mermaid" in context.get("body", ""):
        app.add_js_file(_MERMAID.name)
        app.add_js_file("diagrams.js", loading_method="defer")


def _copy_front_page(app: Sphinx, error: Exception | None) -> None:
    """Serve the front page as index.html, too."""
    if error is None:
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    """Connect the functions above to Sphinx's events."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _draw_diagrams)
    app.connect("build-finished", _copy_front_page)
