"""A badge with the verdict, as an SVG image that needs no server and no font."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape, quoteattr

from cbspec.catalogue.requirements import JudgedRole
from cbspec_conformance.reporting.formats.texts import headline
from cbspec_conformance.reporting.stream import RecordedRun

_GREEN, _RED, _GREY = "#1a7f37", "#b42318", "#57606a"  # white text on them has a contrast of 4.5 or more
_NARROW: Final = "fijlrtI.,:;|!'()[] -"
_WIDE: Final = "mwMW%@"
_PAD: Final = 7  # pixels on each side of a text

_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label={label}>
  <title>{title}</title>
  <clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>
  <g clip-path="url(#r)">
    <rect width="{left}" height="20" fill="#24292f"/>
    <rect x="{left}" width="{right}" height="20" fill="{colour}"/>
  </g>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11" text-rendering="geometricPrecision">
    <text x="{pad}" y="14" textLength="{name_width}">{name}</text>
    <text x="{verdict_at}" y="14" textLength="{verdict_width}">{verdict}</text>
  </g>
</svg>
"""


def render(run: RecordedRun) -> bytes:
    """Return the image. The texts are drawn with the computed widths, whatever font there is."""
    role = "relay" if run.started.subject.role is JudgedRole.RELAY else "client"
    name, verdict = f"CloudBridge {role} v{run.started.specification}", headline(run)
    colour = _GREEN if run.result.green else _RED if run.result.judged else _GREY
    name_width, verdict_width = _width(name), _width(verdict)
    left, right = name_width + 2 * _PAD, verdict_width + 2 * _PAD
    title = f"{name}: {verdict}"
    return _SVG.format(
        width=left + right,
        left=left,
        right=right,
        colour=colour,
        pad=_PAD,
        verdict_at=left + _PAD,
        name_width=name_width,
        verdict_width=verdict_width,
        name=escape(name),
        verdict=escape(verdict),
        title=escape(title),
        label=quoteattr(title),
    ).encode()


def _width(text: str) -> int:
    """Return about the width of a text in pixels, in Verdana of 11 pixels."""
    return round(sum(4.4 if each in _NARROW else 10.5 if each in _WIDE else 7.1 for each in text))
