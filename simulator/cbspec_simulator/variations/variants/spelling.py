"""Ways to write the same messages: order, white space, escapes, and what stands between them."""

from __future__ import annotations

import json

from cbspec.protocol.connection import Framer
from cbspec.protocol.framing import StreamFramer
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, part, texts
from cbspec_simulator.variations.variants.kind import Variant


def _spelt(function: object) -> Change:
    return part(spell=function)


def _reversed(body: Body, _: AnswerContext) -> list[bytes]:
    return [json.dumps(dict(reversed(body.items()))).encode()]


def _indented(body: Body, _: AnswerContext) -> list[bytes]:
    return [json.dumps(body, indent=2).replace("\n", "\r\n").encode()]


def _escape(text: str) -> str:
    return '"' + "".join(f"\\u{ord(unit):04x}" for unit in text) + '"'


def _escaped(body: Body, _: AnswerContext) -> list[bytes]:
    members = (
        f"{_escape(name)}\t:  {_escape(value) if isinstance(value, str) and value.isascii() else json.dumps(value)}"
        for name, value in body.items()
    )
    return [("{ " + " ,\t".join(members) + " }").encode()]


def _between(before: bytes, behind: bytes) -> Change:
    """Write so much before and behind each message of a plain stream."""

    class Between(StreamFramer):
        __slots__ = ()

        @staticmethod
        def encode(text: bytes) -> bytes:
            return before + text + behind

    def stream(limits: LimitSettings) -> Framer:
        return Between(max_message=limits.max_message, max_depth=limits.max_depth)

    return part(stream=stream)


VARIANTS = (
    Variant("member-order", "Members come in reverse order.", _spelt(_reversed)),
    Variant("indented", "Objects go over several lines, with CRLF between them.", _spelt(_indented)),
    Variant(
        "escapes", "Names and texts are written in escapes, with white space wherever it may be.", _spelt(_escaped)
    ),
    Variant(
        "escaped-slashes",
        "A slash is written with a backslash before it, as some libraries do.",
        texts(lambda text: text.replace(b"/", b"\\/"), lambda _, __: True),
    ),
    Variant(
        "padded",
        "There is white space before and behind each object, also in a WebSocket's message.",
        texts(lambda text: b" \t" + text + b"  ", lambda _, __: True),
    ),
    Variant("crlf", "Messages end with carriage return and line feed.", _between(b"", b"\r\n"), transport="tcp"),
    Variant("blank-lines", "There are blank lines between messages.", _between(b"\n \r\n", b"\n\n\n"), transport="tcp"),
    Variant("unseparated", "Nothing stands between one object and the next.", _between(b"", b""), transport="tcp"),
    Variant(
        "separated-before", "A line feed comes before each object, none behind.", _between(b"\n", b""), transport="tcp"
    ),
)
